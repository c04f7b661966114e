use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::{Value, json};

use super::story::{Moment, Story, Tone};
use super::svg::Diagram;
use super::{PICTURE_STYLE, Panel};
use crate::trace::Verdict;
use crate::words::{Seconds, capital};

pub(super) const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

/// A page: one file that needs nothing else.
#[derive(Clone, Debug)]
pub struct Sheet<'a> {
    /// Of the run: a scenario, a test.
    pub name: &'a str,
    /// What happens, in one sentence.
    pub title: &'a str,
    /// The store.
    pub store: &'a str,
    /// The seed; none for real servers.
    pub seed: Option<u64>,
    /// The command that plays it again.
    pub replay: Option<String>,
    /// What there is to learn, and where it was seen.
    pub lesson: Option<(&'a str, &'a str)>,
    /// There is an `index.html` beside it.
    pub among_others: bool,
    /// Shown side by side.
    pub panels: Vec<Panel<'a>>,
}

impl Sheet<'_> {
    /// As HTML.
    pub fn html(&self) -> String {
        let told: Vec<(&Panel<'_>, Story)> = self
            .panels
            .iter()
            .map(|panel| (panel, panel.story()))
            .collect();
        let markup = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.name) " – dlock" }
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) (PreEscaped(PICTURE_STYLE)) }
                }
                body data-scenario=(self.name) {
                    (self.header())
                    main {
                        div.takes {
                            @for (index, (panel, story)) in told.iter().enumerate() { (take(panel, story, index == 0)) }
                        }
                        (controls())
                        section.after {
                            @if let Some((lesson, source)) = self.lesson {
                                div {
                                    h2 { "What it teaches" }
                                    p.lesson { (marked(lesson)) }
                                    p.source { "Seen: " (marked(source)) "." }
                                }
                            }
                            div { h2 { "How to read the picture" } (legend()) }
                        }
                    }
                    @for (panel, story) in &told {
                        script type="application/json" class="data" data-way=(panel.key) { (PreEscaped(data(panel, story))) }
                    }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        markup.into_string() + "\n"
    }

    fn header(&self) -> Markup {
        html! {
            header {
                nav {
                    @if self.among_others { a href="index.html" { "All scenarios" } }
                    span.facts {
                        "on " b { (self.store) }
                        @if let Some(seed) = self.seed { ", seed " b { (seed) } }
                    }
                    button #theme type="button" hidden { "Dark or light" }
                    button #predict type="button" hidden aria-pressed="false" { "Predict first" }
                }
                h1 { (self.name) }
                p.title { (marked(&capital(self.title))) "." }
                div #verdict {
                    @for panel in &self.panels {
                        p.outcome.good[panel.good].declared[!panel.good && panel.declared] data-way=(panel.key) {
                            span.way { (panel.heading) } " " (marked(&panel.verdict))
                        }
                    }
                }
                button #reveal type="button" hidden { "Reveal what happens" }
                p.replay hidden[self.replay.is_none()] {
                    "Play it again, to the nanosecond: " code #replay { (self.replay.as_deref().unwrap_or_default()) } " "
                    button #copy type="button" hidden { "Copy" }
                }
            }
        }
    }
}

/// Words between backticks are names.
pub(super) fn marked(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// One for each property that is violated.
fn chips(panel: &Panel<'_>) -> Markup {
    let broken = panel.report.properties.iter().filter_map(|result| {
        let first = result.violations.first()?;
        Some((result.property, first.at))
    });
    let broken: Vec<_> = broken.collect();
    let valid = panel.report.properties.iter();
    let tested = valid
        .filter(|result| result.verdict == Verdict::Valid)
        .count();
    html! {
        @for (property, at) in &broken {
            a.chip.declared[panel.declared] href=(link(panel, *at)) title=(format!("{property}, broken: {}", property.title())) {
                b { (property) } " " (property.harm()) @if panel.declared { ", as declared" }
            }
        }
        @if broken.is_empty() {
            span.chip.holds[panel.good].idle[!panel.good] {
                "no property broken (" (tested) " of " (panel.report.properties.len()) " put to the test)"
            }
        }
    }
}

fn link(panel: &Panel<'_>, seq: u64) -> String {
    format!("#way={}&e={seq}", panel.key)
}

fn take(panel: &Panel<'_>, story: &Story, first: bool) -> Markup {
    let way = panel.key;
    let ids = ["folded", "linear"].map(|kind| format!("{way}-{kind}"));
    let folded = Diagram::of(story, &ids[0], true);
    let linear = Diagram::of(story, &ids[1], false);
    let label = format!("{}: {}", panel.heading, panel.verdict);
    html! {
        section.take.selected[first] data-way=(way) aria-label=(panel.heading) {
            h2 { (panel.heading) }
            p.chips { (chips(panel)) }
            (folded.draw(&label, "diagram folded", false))
            (linear.draw(&label, "diagram linear", false))
            div.below {
                @if story.arrows_left_out > 0 {
                    p.note { (story.arrows_left_out) " messages are not drawn; the trace has all." }
                }
                @if story.left_out > 0 {
                    p.note { (story.left_out) " small steps are left out of the stops below; the trace has all." }
                }
                ol.narration id=[first.then_some("narration")] {
                    @for moment in story.moments.iter().filter(|moment| moment.told) {
                        li.(tone(moment.tone)) data-e=(moment.seq) data-way=(way) {
                            a href=(link(panel, moment.seq)) { time { (Seconds::rounded_at(moment.t_ns)) } " " (marked(&moment.text)) }
                            @for (property, message) in &moment.violates {
                                span.violation title=(message) { (property) " broken" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Fault => "fault",
        Tone::Good => "good",
        Tone::Bad => "bad",
    }
}

/// What works with JavaScript; but for the switch, which needs none.
fn controls() -> Markup {
    html! {
        div.controls {
            div.row.scripted hidden {
                button #previous type="button" title="Previous event (←)" { "◀ event" }
                button #next type="button" title="Next event (→)" { "event ▶" }
                button #play type="button" title="Play (space)" aria-pressed="false" { "Play" }
                button #next-violation type="button" title="Next violation (n)" { "Next violation" }
                input #scrubber type="range" min="0" max="0" value="0" aria-label="Event";
            }
            label.row { input #fold type="checkbox" checked; " Fold idle time" }
            p #event aria-live="polite" hidden {}
            table #panel hidden {
                caption { "Everybody at this moment" }
                thead { tr {} }
                tbody { tr {} }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        ul.legend {
            li { span.swatch.solid {} b { "believes" } ": the client holds the lock, as far as it knows" }
            li { span.swatch.stripes {} b { "acts on" } ": after that it still writes, or what it sent arrives" }
            li { span.swatch.hatch {} b { "lease" } ": the store says that this client holds the lock; the wedge is the time left" }
            li { span.swatch.both {} b { "two at once" } ": two clients where only one should be" }
            li { span.swatch.still {} "the machine stands still, or is down" }
            li { span.dot.looked {} "somebody reads or claims, " span.dot.accepted {} "the storage accepts a write, " span.dot.refused {} " refuses it, " span.dot.stale {} " accepts one that comes too late" }
            li { "arrows are messages; dotted: held up on the way; ✕: never delivered; violet: replication" }
            li { "zigzags on the time line: idle time is folded there" }
            li { "long tokens are shortened to the digits in which they differ" }
        }
    }
}

/// What the script goes through, as JSON that no HTML can break out of.
fn data(panel: &Panel<'_>, story: &Story) -> String {
    let folded = Diagram::of(story, "", true).scale;
    let linear = Diagram::of(story, "", false).scale;
    let lanes: Vec<&str> = story.lanes.iter().map(|lane| lane.title.as_str()).collect();
    let stop = |moment: &Moment| -> Value {
        let violates: Vec<String> = moment
            .violates
            .iter()
            .map(|(property, message)| format!("{property}: {message}"))
            .collect();
        json!({
            "e": moment.seq,
            "t": Seconds(moment.t_ns).to_string(),
            "x": (folded.x(moment.t_ns) * 10.0).round() / 10.0,
            "l": (linear.x(moment.t_ns) * 10.0).round() / 10.0,
            "s": moment.text.replace('`', ""),
            "v": violates,
            "st": moment.states,
        })
    };
    let stops: Vec<Value> = story.moments.iter().map(stop).collect();
    let data = json!({ "way": panel.key, "open": panel.opens_at, "lanes": lanes, "stops": stops });
    data.to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}
