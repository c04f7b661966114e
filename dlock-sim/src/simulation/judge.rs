use dlock_core::store::{Capabilities, Promise};

use super::Played;
use crate::checker::{Property, Report, Violation, check};
use crate::faults::{Fault, FaultKind, Plan};
use crate::trace::Verdict;

/// What is to be said of a run.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What the checker says, property by property.
    pub report: Report,
    /// What must not be: violations of what was asked for or is promised, panics, escaped tasks.
    pub broken: Vec<Broken>,
    /// Properties that were violated and need not hold under this plan's faults.
    pub witnessed: Vec<Property>,
}

/// One thing that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The property; none for a panic and the like.
    pub property: Option<Property>,
    /// A sentence.
    pub message: String,
}

/// Which violations make a run fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ask {
    /// All that the store promises under the plan's faults, and liveness.
    #[default]
    Promises,
    /// These, whatever the store promises.
    Just(Vec<Property>),
}

impl Judgement {
    pub(crate) fn of(played: &Played, plan: &Plan, capabilities: &Capabilities, ask: &Ask) -> Self {
        let report = check(&played.header, &played.events);
        let mut broken: Vec<Broken> = Vec::new();
        let mut witnessed = Vec::new();
        for result in &report.properties {
            if result.verdict != Verdict::Invalid {
                continue;
            }
            let asked = match ask {
                Ask::Promises => is_promised(capabilities, plan, result.property),
                Ask::Just(properties) => properties.contains(&result.property),
            };
            if asked {
                broken.extend(result.violations.iter().map(Broken::of));
            } else {
                witnessed.push(result.property);
            }
        }
        broken.extend(played.failures.iter().map(|failure| Broken {
            property: None,
            message: failure.clone(),
        }));
        Self {
            report,
            broken,
            witnessed,
        }
    }

    /// Whether nothing is broken.
    pub fn holds(&self) -> bool {
        self.broken.is_empty()
    }

    /// Whether the same thing is broken.
    pub(crate) fn breaks(&self, property: Option<Property>) -> bool {
        self.broken.iter().any(|broken| broken.property == property)
    }
}

impl Broken {
    fn of(violation: &Violation) -> Self {
        Self {
            property: Some(violation.property),
            message: violation.to_string(),
        }
    }
}

/// A property is promised under several classes of faults if it is under each of them. Liveness counts only after the
/// faults, and is promised after all but one: a restored cluster is safe, and waits for an operator. That orphans are
/// gone in time (L3) is S6 once more.
pub(crate) fn is_promised(capabilities: &Capabilities, plan: &Plan, property: Property) -> bool {
    let promised = match property {
        Property::L3 => Property::S6.promised(),
        property => property.promised(),
    };
    let Some(promised) = promised else {
        let is_restore = |fault: &Fault| fault.kind == FaultKind::Restore;
        return !plan.faults.iter().any(is_restore);
    };
    plan.classes()
        .into_iter()
        .all(|class| !matches!(capabilities.promise(promised, class), Promise::Violable(_)))
}
