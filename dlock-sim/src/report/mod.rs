//! What a run looks like: a page with a space-time diagram, the same as text, and a trace for Perfetto.
//!
//! All of it is made of a trace and what the checker says of it; the same trace gives the same bytes.

#[cfg(all(feature = "redis", feature = "etcd"))]
mod catalogue;
mod perfetto;
mod sheet;
mod story;
mod svg;
mod text;

#[cfg(all(feature = "redis", feature = "etcd"))]
pub use catalogue::{Played, index, play_all, table};
pub use sheet::Sheet;

use crate::checker::{Property, Report};
#[cfg(all(feature = "redis", feature = "etcd"))]
use crate::scenario::{Shown, Way};
use crate::trace::{Trace, Verdict};
use crate::words::with_clients;
use story::Story;

/// The colours and lines of a picture, on a page and in a file of its own.
const PICTURE_STYLE: &str = include_str!("assets/picture.css");

/// One run, as it is to be looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Panel<'a> {
    /// Unique on a page: its links begin with it.
    pub key: &'a str,
    /// Above the picture.
    pub heading: &'a str,
    /// What came of it, in a sentence. Words between backticks are names.
    pub verdict: String,
    /// Whether the reader may be content.
    pub good: bool,
    /// What is violated is declared: no defence is said to prevent it.
    pub declared: bool,
    /// The event at which the page opens.
    pub opens_at: Option<u64>,
    trace: &'a Trace,
    report: &'a Report,
}

impl<'a> Panel<'a> {
    /// A trace of the simulator or of real servers, of which the checker says that.
    pub fn of(trace: &'a Trace, report: &'a Report) -> Self {
        let mut panel = Self {
            key: "run",
            heading: "What happened",
            verdict: "Nothing is broken.".to_owned(),
            good: true,
            declared: false,
            opens_at: None,
            trace,
            report,
        };
        if let Some(first) = report.violations().first() {
            let tokens = panel.story().tokens;
            let said = with_clients(&tokens.shorten(&first.message));
            panel.verdict = format!("{} broken: {said}.", first.property);
            panel.good = false;
        } else if report.verdict != Verdict::Valid {
            panel.verdict = "Nothing is broken, but nobody contended either.".to_owned();
            panel.good = false;
        }
        panel
    }

    /// The same, where this property is what matters: the page is about its first violation.
    #[must_use]
    pub fn about(mut self, property: Property) -> Self {
        let of_it = self.report.of(property);
        if let Some(first) = of_it.and_then(|result| result.violations.first()) {
            let said = with_clients(&self.story().tokens.shorten(&first.message));
            self.verdict = format!("{property} broken: {said}.");
            self.opens_at = Some(first.at);
        }
        self
    }

    /// A take of a scenario.
    #[cfg(all(feature = "redis", feature = "etcd"))]
    pub fn of_take(shown: &'a Shown) -> Self {
        let verdict = match (&shown.outcome, shown.surprises.first()) {
            (_, Some(surprise)) => format!("NOT as it should go: {surprise}"),
            (outcome, None) => outcome.clone().unwrap_or_default(),
        };
        Self {
            key: shown.way.name(),
            heading: match shown.way {
                Way::Unfenced => "Without a fence",
                Way::Fenced => "With a fence",
                Way::Naive => "A naive lock",
                Way::Ours => "dlock",
            },
            verdict,
            good: shown.way.is_fenced()
                && shown.surprises.is_empty()
                && (shown.refused > 0 || shown.judgement.report.violations().is_empty()),
            declared: shown.way.is_fenced() && shown.surprises.is_empty(),
            // The harm, rather than what led to it.
            opens_at: shown
                .judgement
                .report
                .of(Property::S3)
                .and_then(|result| Some(result.violations.first()?.at)),
            trace: &shown.trace,
            report: &shown.judgement.report,
        }
    }

    /// The picture by itself, as an SVG file.
    pub fn svg(&self) -> String {
        let story = self.story();
        let diagram = svg::Diagram::of(&story, self.key, true);
        diagram.draw(&self.verdict, "diagram", true).into_string() + "\n"
    }

    /// The picture and the narration for a terminal, 100 columns wide.
    pub fn text(&self) -> String {
        text::text(self)
    }

    /// In Chrome's trace-event format, which Perfetto and `chrome://tracing` open: a process for each machine, with a
    /// track for what it believes, what it does, what the store says, and what is wrong with it.
    pub fn perfetto(&self) -> String {
        perfetto::perfetto(self)
    }

    fn story(&self) -> Story {
        Story::of(&self.trace.header, &self.trace.events, self.report)
    }
}
