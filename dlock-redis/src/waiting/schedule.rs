use std::time::Duration;

use super::Pushes;

/// For how long a free lock is in line for the head of the queue: `GRACE` in `queue.lua`.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// A head looks at least this often: a foreign client's silent release, a `DEL` or a lost wakeup is
/// noticed within it (R11).
const HEAD: Duration = Duration::from_secs(2);

/// Everybody else looks at least this often, which also says that the entry is alive.
const SLOWEST: Duration = Duration::from_secs(5);

/// When the first in a line looks by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looks {
    pub pushes: Pushes,
    pub random: u64,
}

impl Looks {
    /// After the server has said how many are before us (nothing: we are not in its queue), and how
    /// long the lease, or the grace of whoever is before us, lasts at most.
    pub fn after(self, rank: Option<u32>, left: Option<Duration>, reserved: bool) -> Duration {
        // The server counts whole milliseconds.
        let over = left.unwrap_or(HEAD).min(HEAD) + Duration::from_millis(1);
        match (self.pushes, rank) {
            (Pushes::Yes, Some(0)) => over,
            // Only who has looked during the grace of another knows of it: no stampede.
            (Pushes::Yes, Some(rank)) if reserved => {
                over + Duration::from_millis(5).saturating_mul(rank.min(20))
            }
            (Pushes::Yes, Some(1)) => over + GRACE,
            // Slow and staggered.
            (Pushes::Yes, Some(rank)) => {
                self.jittered((HEAD + GRACE.saturating_mul(rank)).min(SLOWEST))
            }
            // Within a grace, so that our turn is not lost.
            (Pushes::Soon, Some(0)) => over.min(self.jittered(Duration::from_millis(350))),
            (Pushes::Soon, _) => self.jittered(Duration::from_millis(350)),
            (Pushes::No, Some(0)) => over.min(self.jittered(Duration::from_millis(80))),
            (Pushes::No, Some(1)) => self.jittered(Duration::from_millis(150)),
            (Pushes::No, _) | (Pushes::Yes, None) => self.jittered(Duration::from_millis(350)),
        }
    }

    /// After wakeups begin to arrive, or do so no more.
    pub fn after_a_change(self) -> Duration {
        match self.pushes {
            Pushes::Yes => Duration::ZERO,
            Pushes::Soon | Pushes::No => self.after(Some(0), None, false),
        }
    }

    /// Between 3/4 and 5/4 of it.
    fn jittered(self, about: Duration) -> Duration {
        let share = (self.random % 1024) as f64 / 2048.0;
        about.mul_f64(0.75 + share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_has_the_same_grace() {
        let script = include_str!("../scripts/queue.lua");
        assert!(script.contains(&format!("local GRACE = {}\n", GRACE.as_millis())));
        let lifetime = script
            .lines()
            .find_map(|line| line.strip_prefix("local LIFETIME = "))
            .and_then(|number| number.parse().ok())
            .map(Duration::from_millis);
        // Two looks may fail before an entry counts as dead, the first within a second of a sign.
        let recent = Duration::from_secs(1);
        assert!(script.contains(&format!("local RECENT = {}\n", recent.as_millis())));
        assert!(lifetime.unwrap() >= 2 * SLOWEST.mul_f64(1.25) + recent);
    }

    #[test]
    fn nobody_looks_so_rarely_that_a_turn_is_lost() {
        for pushes in [Pushes::No, Pushes::Soon] {
            for rank in [None, Some(0), Some(1), Some(7)] {
                for random in 0..2048 {
                    let looks = Looks { pushes, random };
                    assert!(looks.after(rank, None, false) < GRACE, "{looks:?} {rank:?}");
                }
            }
        }
    }

    #[test]
    fn who_looks_during_a_grace_looks_again_when_it_is_over() {
        let looks = Looks {
            pushes: Pushes::Yes,
            random: 0,
        };
        let left = Duration::from_millis(300);
        for rank in [1, 2, 7, 1000] {
            let again = looks.after(Some(rank), Some(left), true);
            assert!(
                again > left && again < left + GRACE / 2,
                "{rank}: {again:?}"
            );
        }
    }
}
