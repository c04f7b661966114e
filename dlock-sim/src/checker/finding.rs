use super::{Property, PropertyResult, Violation};
use crate::trace::Verdict;

/// Collects what one property says.
pub(super) struct Finding {
    property: Property,
    exercised: u64,
    violations: Vec<Violation>,
    undecided: Option<String>,
}

/// Where a violation is.
pub(super) struct At<'a> {
    /// The first event that violates.
    pub(super) seq: u64,
    /// Its true time.
    pub(super) t_ns: u64,
    /// The other events that show it.
    pub(super) with: &'a [u64],
    pub(super) name: Option<&'a str>,
    pub(super) nodes: &'a [&'a str],
}

impl Finding {
    pub(super) fn new(property: Property) -> Self {
        Self {
            property,
            exercised: 0,
            violations: Vec::new(),
            undecided: None,
        }
    }

    /// The trace put the property to the test.
    pub(super) fn exercise(&mut self) {
        self.exercised += 1;
    }

    pub(super) fn violate(&mut self, at: At<'_>, message: String) {
        let mut events = at.with.to_vec();
        events.push(at.seq);
        events.sort_unstable();
        events.dedup();
        let mut nodes: Vec<String> = at.nodes.iter().map(|node| (*node).to_owned()).collect();
        nodes.dedup();
        self.violations.push(Violation {
            property: self.property,
            message,
            at: at.seq,
            t_ns: at.t_ns,
            events,
            name: at.name.map(str::to_owned),
            nodes,
        });
    }

    /// Without a violation, the trace cannot tell.
    pub(super) fn undecided(&mut self, why: &str) {
        self.undecided.get_or_insert_with(|| why.to_owned());
    }

    /// `idle` says why it is unknown when nothing put it to the test.
    pub(super) fn finish(mut self, idle: &str) -> PropertyResult {
        let why_unknown = if !self.violations.is_empty() {
            None
        } else if self.exercised == 0 {
            self.undecided.or_else(|| Some(idle.to_owned()))
        } else {
            self.undecided
        };
        let verdict = match (&why_unknown, self.violations.is_empty()) {
            (_, false) => Verdict::Invalid,
            (Some(_), true) => Verdict::Unknown,
            (None, true) => Verdict::Valid,
        };
        self.violations
            .sort_by_key(|violation| (violation.t_ns, violation.at));
        PropertyResult {
            property: self.property,
            verdict,
            exercised: self.exercised,
            violations: self.violations,
            why_unknown,
        }
    }

    /// The trace lacks what this property needs.
    pub(super) fn unknown(property: Property, why: &str) -> PropertyResult {
        Self::new(property).finish(why)
    }
}
