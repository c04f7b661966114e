use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::factory::StoreFactory;
use super::harness::Harness;
use super::verdict::{Stop, Verdict};
use crate::runtime::timeout;

/// The longest that a case may take, in the time of the store's runtime.
const LONGEST_CASE: Duration = Duration::from_secs(60);

/// One thing that a store must do.
pub struct Case {
    /// The file it lives in: `release`, `waiting`, …
    pub theme: &'static str,
    /// What must hold, as a sentence in snake case; unique among all cases.
    pub name: &'static str,
    /// The rules (R1-R16) or safety properties (S1-S8) that it checks.
    pub rules: &'static str,
    pub(super) run: for<'a> fn(&'a Harness<'a>) -> Running<'a>,
}

pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The store does as it must.
    Passed,
    /// The store does not declare what the case is about, or there is none to test: why.
    Skipped(String),
    /// What was expected, and what was seen.
    Failed(String),
}

impl Case {
    /// The case with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        super::CASES.iter().find(|case| case.name == name)
    }

    /// Runs the case against a backend, for at most 60 s; a store that hangs has failed.
    pub async fn run(&self, factory: &dyn StoreFactory) -> Outcome {
        if let Some(reason) = factory.unavailable() {
            return Outcome::Skipped(reason);
        }
        let harness = Harness::new(factory, self.name);
        let runtime = factory.runtime();
        match timeout(
            &*runtime,
            runtime.now() + LONGEST_CASE,
            (self.run)(&harness),
        )
        .await
        {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(Stop::Skipped(reason))) => Outcome::Skipped(reason),
            Ok(Err(Stop::Failed(sentence))) => Outcome::Failed(sentence),
            Err(_) => Outcome::Failed(format!("it did not end within {LONGEST_CASE:?}")),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{} ({})", self.theme, self.name, self.rules)
    }
}
