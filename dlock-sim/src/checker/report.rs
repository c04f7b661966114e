use std::fmt;

use serde::{Deserialize, Serialize};

use super::Property;
use crate::trace::Verdict;
use crate::words::Seconds;

/// How many violations of one property `Display` writes out.
const SHOWN: usize = 5;

/// What the checker says of a trace. `Display` writes it for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The trace's title.
    pub title: String,
    /// The store.
    pub store: String,
    /// The seed; none for real servers.
    pub seed: Option<u64>,
    /// Invalid if any property is; else valid if exclusion (S1 or S2) was put to the test; else unknown.
    pub verdict: Verdict,
    /// One for each property, in order.
    pub properties: Vec<PropertyResult>,
}

impl Report {
    pub(super) fn new(header: &crate::trace::Header, properties: Vec<PropertyResult>) -> Self {
        let is = |verdict| move |result: &&PropertyResult| result.verdict == verdict;
        let exclusion = |result: &&PropertyResult| result.property <= Property::S2;
        let verdict = if properties.iter().any(|r| is(Verdict::Invalid)(&r)) {
            Verdict::Invalid
        } else if properties
            .iter()
            .filter(exclusion)
            .any(|r| is(Verdict::Valid)(&r))
        {
            Verdict::Valid
        } else {
            Verdict::Unknown
        };
        Self {
            title: header.title.clone(),
            store: header.store.clone(),
            seed: header.seed,
            verdict,
            properties,
        }
    }

    /// What it says of one property.
    pub fn of(&self, property: Property) -> Option<&PropertyResult> {
        self.properties
            .iter()
            .find(|result| result.property == property)
    }

    /// All violations, by the time of their event.
    pub fn violations(&self) -> Vec<&Violation> {
        let all = self.properties.iter().flat_map(|result| &result.violations);
        let mut all: Vec<&Violation> = all.collect();
        all.sort_by_key(|violation| (violation.t_ns, violation.at, violation.property));
        all
    }
}

/// What the checker says of one property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyResult {
    /// Which.
    pub property: Property,
    /// Invalid with a violation; unknown when the trace does not put it to the test.
    pub verdict: Verdict,
    /// How often the trace put it to the test; what counts as such is said in the property's own file.
    pub exercised: u64,
    /// In the order of their events.
    pub violations: Vec<Violation>,
    /// Why it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_unknown: Option<String>,
}

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Of what.
    pub property: Property,
    /// One plain sentence.
    pub message: String,
    /// The `seq` of the first event that violates it.
    pub at: u64,
    /// The true time of that event.
    pub t_ns: u64,
    /// The `seq`s of all events that show it, [`Violation::at`] included.
    pub events: Vec<u64>,
    /// The lock.
    pub name: Option<String>,
    /// The machines that are concerned.
    pub nodes: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} on {}",
            word(self.verdict),
            self.title,
            self.store
        )?;
        if let Some(seed) = self.seed {
            write!(f, ", seed {seed}")?;
        }
        writeln!(f)?;
        for result in &self.properties {
            write!(f, "{result}")?;
        }
        Ok(())
    }
}

impl fmt::Display for PropertyResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (property, verdict) = (self.property, word(self.verdict));
        write!(f, "  {property} {verdict:<7}  {}", property.title())?;
        match (self.verdict, &self.why_unknown) {
            (Verdict::Unknown, Some(why)) => write!(f, " ({why})")?,
            (Verdict::Unknown, None) => {}
            (Verdict::Valid, _) => write!(f, " ({} times put to the test)", self.exercised)?,
            (Verdict::Invalid, _) => write!(f, " ({} violations)", self.violations.len())?,
        }
        writeln!(f)?;
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "     {violation}")?;
        }
        match self.violations.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "     … and {more} more"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = Seconds(self.t_ns);
        write!(f, "at {t}, event {}: {}", self.at, self.message)
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid => "INVALID",
        Verdict::Unknown => "unknown",
    }
}
