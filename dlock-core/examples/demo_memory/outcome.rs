//! What came out, as a table, and whether it is what was promised.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use dlock_core::Instant;

use crate::{TARGET, TTL};

#[derive(Default)]
pub struct Observed {
    pub holds: Vec<Hold>,
    pub refusals: usize,
    pub aborted: Option<usize>,
    /// Who, and for how long.
    pub stalled: Option<(usize, Duration)>,
    pub elapsed: Duration,
}

/// One grant that ended with a write and a release.
pub struct Hold {
    pub task: usize,
    pub token: u64,
    pub value: u64,
    pub granted_at: Instant,
    /// When its release began, if it came in time.
    pub releasing_at: Option<Instant>,
}

impl Observed {
    /// Prints the table and the verdict.
    pub fn judge(mut self, seen: u64) -> ExitCode {
        let expected = self.holds.len() as u64;
        let values: BTreeSet<u64> = self.holds.iter().map(|hold| hold.value).collect();
        let lost = self.holds.len() - values.len();
        self.holds.sort_by_key(|hold| hold.token);
        let in_order = self
            .holds
            .is_sorted_by(|a, b| a.token < b.token && a.value < b.value);
        let two_at_once = self
            .holds
            .windows(2)
            .any(|pair| pair[0].releasing_at > Some(pair[1].granted_at));
        let row = |name: &str, value: String| println!("  {name:<32}{value}");
        println!();
        row("increments expected / seen", format!("{expected} / {seen}"));
        row("lost updates", lost.to_string());
        row(
            "two holders at once",
            if two_at_once { "YES" } else { "never" }.to_owned(),
        );
        row("stale writes rejected", self.refusals.to_string());
        row(
            "tokens in order",
            match &self.holds[..] {
                [first, .., last] if in_order => format!("yes, {} .. {}", first.token, last.token),
                _ => "NO".to_owned(),
            },
        );
        let handovers = self.handovers();
        row(
            "hand-over latency p50 / p99 ¹",
            match (percentile(&handovers, 50), percentile(&handovers, 99)) {
                (Some(p50), Some(p99)) => format!("{p50:.1?} / {p99:.1?}"),
                _ => "none measured".to_owned(),
            },
        );
        row(
            "aborted",
            self.aborted.map_or("nobody".to_owned(), |task| {
                format!("task {task}, holding the lock")
            }),
        );
        row(
            "stalled",
            self.stalled
                .map_or("nobody".to_owned(), |(task, stalled_for)| {
                    format!("task {task}, holding the lock, for {stalled_for:.1?} (TTL {TTL:?})")
                }),
        );
        row("elapsed", format!("{:.1?}", self.elapsed));
        println!(
            "\n  ¹ from release() called in one task to acquire() done in another; waiting is pushed.\n"
        );

        let failures = [
            (
                expected != seen || seen != TARGET,
                "the counter does not stand where it should",
            ),
            (lost > 0, "updates were lost"),
            (two_at_once, "two tasks held the lock at the same time"),
            (
                !in_order,
                "a write with an older token came after a newer one",
            ),
            (self.refusals == 0, "no stale write was rejected"),
            (
                self.aborted.is_none() || self.stalled.is_none(),
                "nobody was aborted, or nobody stalled",
            ),
        ];
        let failures: Vec<&str> = failures
            .into_iter()
            .filter_map(|(failed, what)| failed.then_some(what))
            .collect();
        for failure in &failures {
            println!("FAILED: {failure}.");
        }
        if !failures.is_empty() {
            return ExitCode::FAILURE;
        }
        println!(
            "AS PROMISED: one task ended with the lock and one wrote after it had lost it, and all {TARGET}\n\
             increments are there, each exactly once."
        );
        ExitCode::SUCCESS
    }

    /// Sorted. Of grants in token order, where nobody else stood between the two.
    fn handovers(&self) -> Vec<Duration> {
        let between = |pair: &[Hold]| {
            let adjacent = pair[0].token + 1 == pair[1].token && pair[0].task != pair[1].task;
            let released = pair[0].releasing_at.filter(|_| adjacent)?;
            Some(pair[1].granted_at.since(released))
        };
        let mut handovers: Vec<Duration> = self.holds.windows(2).filter_map(between).collect();
        handovers.sort();
        handovers
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    sorted
        .get((sorted.len() * percent).div_ceil(100).checked_sub(1)?)
        .copied()
}
