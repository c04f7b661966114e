//! What came out, as a table, and whether it is what was promised.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::counter::{Entry, Step};
use crate::{TARGET, TTL};

/// What the parent saw.
#[derive(Default)]
pub struct Observed {
    pub acknowledged: u64,
    pub holds: Vec<Hold>,
    pub refusals: Vec<Holder>,
    pub killed: Option<Holder>,
    pub frozen: Option<Frozen>,
    pub finished: BTreeSet<u32>,
    pub elapsed: Duration,
}

/// One grant. Instants in nanoseconds.
#[derive(Clone, Copy)]
pub struct Hold {
    pub worker: u32,
    pub token: u64,
    pub granted_at: u64,
    /// When its release began; `None` when it ended otherwise, or as the last one of its worker.
    pub releasing_at: Option<u64>,
}

/// Who had the lock with which token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    pub worker: u32,
    pub token: u64,
}

#[derive(Clone, Copy)]
pub struct Frozen {
    pub holder: Holder,
    pub frozen_for: Duration,
}

/// What came out of it all.
pub struct Outcome {
    observed: Observed,
    /// What the counter accepted, in order.
    log: Vec<Entry>,
    scripts_run: u64,
}

impl Outcome {
    pub fn new(observed: Observed, log: Vec<Entry>, scripts_run: u64) -> Self {
        Self {
            observed,
            log,
            scripts_run,
        }
    }

    /// What is not as promised; nothing, if all is well.
    pub fn failures(&self) -> Vec<String> {
        let Observed {
            acknowledged,
            refusals,
            killed,
            frozen,
            ..
        } = &self.observed;
        let (seen, lost, writes) = (self.seen(), self.lost(), self.writes().count() as u64);
        let wrote = |holder: Holder| {
            self.writes()
                .any(|write| write.stamp.token.value() == holder.token)
        };
        let rejected = |frozen: Frozen| refusals.contains(&frozen.holder);
        let expectations = [
            (
                *acknowledged == seen,
                format!("{acknowledged} increments were made, but the counter stands at {seen}"),
            ),
            (
                seen == TARGET,
                format!("the counter stands at {seen} instead of {TARGET}"),
            ),
            (
                lost == 0,
                format!("{lost} updates were lost: another one wrote the same value again"),
            ),
            (
                *acknowledged == writes,
                format!("{acknowledged} increments were made, but the counter has taken {writes}"),
            ),
            (
                !self.two_at_once(),
                "two workers held the lock at the same time".to_owned(),
            ),
            (
                self.tokens_in_order(),
                "a token came after a newer one, or twice".to_owned(),
            ),
            (
                killed.is_some(),
                "no worker was killed while it held the lock".to_owned(),
            ),
            (
                !killed.is_some_and(wrote),
                "the killed worker has written".to_owned(),
            ),
            (
                frozen.is_some(),
                "no worker was frozen while it held the lock".to_owned(),
            ),
            (
                frozen.is_some_and(rejected),
                "the frozen worker's late write was not rejected".to_owned(),
            ),
        ];
        expectations
            .into_iter()
            .filter_map(|(met, otherwise)| (!met).then_some(otherwise))
            .collect()
    }

    fn rows(&self) -> [(&'static str, String); 10] {
        let Observed {
            acknowledged,
            holds,
            refusals,
            killed,
            frozen,
            elapsed,
            ..
        } = &self.observed;
        let holding = |holder: &Holder| format!("worker {}, holding the lock", holder.worker);
        [
            (
                "increments expected / seen",
                format!("{acknowledged} / {}", self.seen()),
            ),
            ("lost updates", self.lost().to_string()),
            (
                "two holders at once",
                if self.two_at_once() { "YES" } else { "never" }.to_owned(),
            ),
            ("stale writes rejected", refusals.len().to_string()),
            ("tokens in order", self.tokens()),
            ("hand-over latency p50 / p99 ¹", self.latency()),
            (
                "commands per acquisition ²",
                format!("{:.1}", self.scripts_run as f64 / holds.len().max(1) as f64),
            ),
            (
                "killed (SIGKILL)",
                killed.as_ref().map_or("nobody".to_owned(), holding),
            ),
            (
                "frozen (SIGSTOP)",
                frozen.as_ref().map_or("nobody".to_owned(), |frozen| {
                    format!(
                        "{}, for {:.1?} (TTL {TTL:?})",
                        holding(&frozen.holder),
                        frozen.frozen_for
                    )
                }),
            ),
            ("elapsed", format!("{elapsed:.1?}")),
        ]
    }

    fn writes(&self) -> impl Iterator<Item = &Entry> {
        self.log.iter().filter(|entry| entry.step == Step::Write)
    }

    fn seen(&self) -> u64 {
        self.writes().last().map_or(0, |last| last.value)
    }

    fn lost(&self) -> usize {
        let values: BTreeSet<u64> = self.writes().map(|write| write.value).collect();
        self.writes().count() - values.len()
    }

    fn tokens(&self) -> String {
        match &self.log[..] {
            [first, .., last] if self.tokens_in_order() => {
                format!("yes, {} .. {}", first.stamp.token, last.stamp.token)
            }
            _ => "NO".to_owned(),
        }
    }

    /// Every grant has a token of its own, and the counter was claimed and written in their order.
    fn tokens_in_order(&self) -> bool {
        let of = |step| {
            self.log
                .iter()
                .filter(move |entry| entry.step == step)
                .map(|entry| entry.stamp.token)
        };
        let unique: BTreeSet<u64> = self.observed.holds.iter().map(|hold| hold.token).collect();
        of(Step::Claim).is_sorted_by(|a, b| a < b)
            && of(Step::Write).is_sorted_by(|a, b| a < b)
            && self.log.is_sorted_by_key(|entry| entry.stamp.token)
            && unique.len() == self.observed.holds.len()
    }

    /// Of locks that were released in time; how the others ended is the fence's business.
    fn two_at_once(&self) -> bool {
        let mut holds = self.observed.holds.clone();
        holds.sort_by_key(|hold| hold.granted_at);
        let mut held_until = 0;
        holds.iter().any(|hold| {
            let too_early = hold.granted_at < held_until;
            held_until = held_until.max(hold.releasing_at.unwrap_or(0));
            too_early
        })
    }

    fn latency(&self) -> String {
        let handovers = handovers(&self.observed.holds);
        match (percentile(&handovers, 50), percentile(&handovers, 99)) {
            (Some(p50), Some(p99)) => format!("{p50:.1?} / {p99:.1?}"),
            _ => "none measured".to_owned(),
        }
    }
}

/// From a release to the next grant, where that went to another process; sorted.
fn handovers(holds: &[Hold]) -> Vec<Duration> {
    let mut holds = holds.to_vec();
    holds.sort_by_key(|hold| hold.token);
    let between = |pair: &[Hold]| {
        let (last, next) = (pair[0], pair[1]);
        let nanos = next.granted_at.saturating_sub(last.releasing_at?);
        (last.worker != next.worker).then_some(Duration::from_nanos(nanos))
    };
    let mut handovers: Vec<Duration> = holds.windows(2).filter_map(between).collect();
    handovers.sort();
    handovers
}

fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for (name, value) in self.rows() {
            writeln!(f, "  {name:<32}{value}")?;
        }
        writeln!(
            f,
            "\n  ¹ from release() called in one process to acquire() done in another.\n  \
             ² scripts that clients had the server run, divided by grants: one takes the lock, one\n    \
             releases it, the rest are looks at it by those who wait, and renewals.\n"
        )?;
        let failures = self.failures();
        for failure in &failures {
            writeln!(f, "FAILED: {failure}.")?;
        }
        if failures.is_empty() {
            writeln!(
                f,
                "AS PROMISED: one process died with the lock and one wrote after it had lost it, and\n\
                 all {TARGET} increments are there, each exactly once."
            )?;
        }
        Ok(())
    }
}
