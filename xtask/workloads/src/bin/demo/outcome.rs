//! What came out, as a table, and whether it is what was promised.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::{TARGET, TTL};

/// What the parent saw.
#[derive(Default)]
pub struct Observed {
    /// The increments that were acknowledged.
    pub writes: Vec<Write>,
    pub holds: Vec<Hold>,
    pub refusals: Vec<Holder>,
    pub killed: Option<Holder>,
    pub frozen: Option<Frozen>,
    pub finished: BTreeSet<u32>,
    pub elapsed: Duration,
}

/// One increment.
#[derive(Clone, Copy)]
pub struct Write {
    pub token: u64,
    pub value: u64,
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
    /// Where the counter stands.
    seen: u64,
    requests: u64,
}

impl Outcome {
    pub fn new(mut observed: Observed, seen: u64, requests: u64) -> Self {
        // The order in which the store took them: each wrote one more than it had read.
        observed.writes.sort_by_key(|write| write.value);
        Self {
            observed,
            seen,
            requests,
        }
    }

    /// What is not as promised; nothing, if all is well.
    pub fn failures(&self) -> Vec<String> {
        let Observed {
            writes,
            refusals,
            killed,
            frozen,
            ..
        } = &self.observed;
        let (acknowledged, seen, lost) = (writes.len() as u64, self.seen, self.lost());
        let rejected = |frozen: Frozen| refusals.contains(&frozen.holder);
        let expectations = [
            (
                acknowledged == seen,
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
            writes,
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
                format!("{} / {}", writes.len(), self.seen),
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
                "requests per acquisition ²",
                format!("{:.1}", self.requests as f64 / holds.len().max(1) as f64),
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

    fn lost(&self) -> usize {
        let writes = &self.observed.writes;
        let values: BTreeSet<u64> = writes.iter().map(|write| write.value).collect();
        writes.len() - values.len()
    }

    fn tokens(&self) -> String {
        match &self.observed.writes[..] {
            [first, .., last] if self.tokens_in_order() => {
                format!("yes, {} .. {}", first.token, last.token)
            }
            _ => "NO".to_owned(),
        }
    }

    /// Every grant has a token of its own, and the counter was written in their order.
    fn tokens_in_order(&self) -> bool {
        let Observed { holds, writes, .. } = &self.observed;
        let unique: BTreeSet<u64> = holds.iter().map(|hold| hold.token).collect();
        writes.is_sorted_by(|a, b| a.token < b.token) && unique.len() == holds.len()
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
             ² what all processes have asked the server, divided by grants: to take the lock and to\n    \
             release it, to wait and to renew, and two requests for the counter.\n"
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A run as it should be: the workers take turns, the first one is killed, the second frozen.
    fn as_promised() -> Observed {
        let holds = (1..=TARGET + 2).map(|token| Hold {
            worker: (token % 8) as u32,
            token,
            granted_at: 10 * token,
            releasing_at: (token > 2).then_some(10 * token + 9),
        });
        let writes = (1..=TARGET).map(|value| Write {
            token: value + 2,
            value,
        });
        let holder = |token| Holder {
            worker: token as u32,
            token,
        };
        Observed {
            holds: holds.collect(),
            writes: writes.collect(),
            refusals: vec![holder(2)],
            killed: Some(holder(1)),
            frozen: Some(Frozen {
                holder: holder(2),
                frozen_for: 2 * TTL,
            }),
            ..Observed::default()
        }
    }

    fn failures(seen: u64, change: impl FnOnce(&mut Observed)) -> Vec<String> {
        let mut observed = as_promised();
        change(&mut observed);
        Outcome::new(observed, seen, 0).failures()
    }

    fn fails(seen: u64, with: &str, change: impl FnOnce(&mut Observed)) {
        let failures = failures(seen, change);
        let found = failures.iter().any(|failure| failure.contains(with));
        assert!(found, "{with} is not in {failures:?}");
    }

    #[test]
    fn a_run_as_promised_has_no_failures() {
        assert!(failures(TARGET, |_| ()).is_empty());
    }

    #[test]
    fn a_lost_update_is_a_failure() {
        fails(TARGET, "1 updates were lost", |observed| {
            observed.writes[10].value = observed.writes[9].value;
        });
    }

    #[test]
    fn a_write_that_nobody_was_told_of_is_a_failure() {
        fails(TARGET, "1999 increments were made", |observed| {
            observed.writes.remove(7);
        });
        fails(TARGET - 1, "stands at 1999 instead", |_| ());
    }

    #[test]
    fn a_late_write_that_is_taken_is_a_failure() {
        fails(TARGET, "was not rejected", |observed| {
            observed.refusals.clear();
        });
        fails(TARGET, "a token came after a newer one", |observed| {
            observed.writes[TARGET as usize / 2].token = 2;
        });
    }

    #[test]
    fn two_at_once_are_a_failure() {
        fails(TARGET, "at the same time", |observed| {
            observed.holds[20].granted_at = observed.holds[19].granted_at + 1;
        });
        fails(TARGET, "or twice", |observed| {
            observed.holds[20].token = observed.holds[19].token;
        });
    }

    #[test]
    fn a_run_without_faults_is_a_failure() {
        fails(TARGET, "no worker was killed", |observed| {
            observed.killed = None;
        });
        fails(TARGET, "no worker was frozen", |observed| {
            observed.frozen = None;
        });
    }
}
