use std::time::Duration;

use dlock_workloads::Result;

use crate::figures::{report, report_more};
use crate::now;

/// One turn at the lock. Instants in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub order: u64,
    pub who: u64,
    pub asked_at: u64,
    pub granted_at: u64,
    pub released_at: u64,
}

/// Somebody who takes turns with others.
pub trait Player: Send + 'static {
    /// Waits for its turn and returns its number; `None`: there are no more.
    fn begin(&mut self) -> impl Future<Output = Result<Option<u64>>> + Send;
    /// Ends its turn; its last one, perhaps.
    fn end(&mut self, last: bool) -> impl Future<Output = Result<()>> + Send;
}

/// Takes turns until the time is over; those that it had.
pub async fn play(
    mut player: impl Player,
    who: u64,
    (hold, think): (Duration, Duration),
    until: u64,
) -> Result<Vec<Turn>> {
    let mut turns = Vec::new();
    loop {
        let asked_at = now();
        let Some(order) = player.begin().await? else {
            return Ok(turns);
        };
        let granted_at = now();
        if !hold.is_zero() {
            tokio::time::sleep(hold).await;
        }
        let released_at = now();
        let last = released_at >= until;
        player.end(last).await?;
        turns.push(Turn {
            order,
            who,
            asked_at,
            granted_at,
            released_at,
        });
        if last {
            return Ok(turns);
        }
        if !think.is_zero() {
            tokio::time::sleep(think).await;
        }
    }
}

/// Hand-overs between neighbours in the order of the turns, how many kept the lock, and how evenly
/// they had it.
pub fn report_turns(mut turns: Vec<Turn>, players: u64) {
    turns.sort_unstable_by_key(|turn| turn.order);
    let latencies = hand_overs(&turns);
    for (metric, share) in [("hand-over p50", 0.5), ("hand-over p99", 0.99)] {
        if let Some(nanos) = percentile(&latencies, share) {
            report(metric, nanos as f64 / 1000.0, "µs");
        }
    }
    let kept = turns.windows(2).filter(|pair| pair[0].who == pair[1].who);
    report("kept by the releaser", kept.count() as f64, "");
    let counts = (0..players).map(|who| turns.iter().filter(|turn| turn.who == who).count());
    let (least, most) = (counts.clone().min(), counts.max());
    if let (Some(least), Some(most)) = (least, most) {
        report("max/min acquisitions", most as f64 / least as f64, "");
    }
    report_more("acquisitions", turns.len() as f64, "");
}

/// How many asked only when the lock had been released: those were not handed anything.
pub fn report_latecomers(turns: &[Turn]) {
    let mut turns = turns.to_vec();
    turns.sort_unstable_by_key(|turn| turn.order);
    let late = |pair: &&[Turn]| pair[1].asked_at > pair[0].released_at;
    let late = turns.windows(2).filter(late).count();
    report("asked after the release", late as f64, "");
}

/// From each release to the next grant, in nanoseconds; sorted.
fn hand_overs(turns: &[Turn]) -> Vec<u64> {
    let between = |pair: &[Turn]| pair[1].granted_at.saturating_sub(pair[0].released_at);
    let mut latencies: Vec<_> = turns.windows(2).map(between).collect();
    latencies.sort_unstable();
    latencies
}

fn percentile(sorted: &[u64], share: f64) -> Option<u64> {
    let index = (sorted.len() as f64 * share) as usize;
    let last = sorted.len().checked_sub(1)?;
    sorted.get(index.min(last)).copied()
}

/// The turns of a worker, for its parent.
pub fn tell(turns: &[Turn]) {
    for turn in turns {
        println!("{}", turn.to_line());
    }
}

impl Turn {
    fn to_line(self) -> String {
        let Self {
            order,
            who,
            asked_at,
            granted_at,
            released_at,
        } = self;
        format!("{order} {who} {asked_at} {granted_at} {released_at}")
    }

    pub fn parse(line: &str) -> Option<Self> {
        let numbers: Option<Vec<u64>> = line.split(' ').map(|word| word.parse().ok()).collect();
        let [order, who, asked_at, granted_at, released_at] = numbers?[..] else {
            return None;
        };
        Some(Self {
            order,
            who,
            asked_at,
            granted_at,
            released_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(order: u64, granted_at: u64, released_at: u64) -> Turn {
        Turn {
            order,
            who: order % 2,
            asked_at: 5,
            granted_at,
            released_at,
        }
    }

    #[test]
    fn a_hand_over_lasts_from_the_release_to_the_next_grant() {
        let turns = [turn(1, 10, 20), turn(2, 27, 40), turn(3, 43, 50)];
        assert_eq!(hand_overs(&turns), [3, 7]);
    }

    #[test]
    fn percentiles_are_of_what_there_is() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&hundred, 0.5), Some(51));
        assert_eq!(percentile(&hundred, 0.99), Some(100));
        assert_eq!(percentile(&[7], 0.99), Some(7));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn a_workers_turn_is_understood() {
        let turn = turn(1, 10, 20);
        assert_eq!(Turn::parse(&turn.to_line()), Some(turn));
        for line in ["", "1 2 3 4", "1 2 3 4 five", "READY"] {
            assert_eq!(Turn::parse(line), None, "{line:?}");
        }
    }

    /// Takes its turns as they come.
    struct Alone(u64);

    impl Player for Alone {
        async fn begin(&mut self) -> Result<Option<u64>> {
            self.0 += 1;
            Ok((self.0 < 4).then_some(self.0))
        }

        async fn end(&mut self, _: bool) -> Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_player_plays_until_there_are_no_more_turns_or_no_more_time() {
        let times = (Duration::ZERO, Duration::ZERO);
        let turns = play(Alone(0), 7, times, u64::MAX).await.unwrap();
        let orders: Vec<_> = turns.iter().map(|turn| (turn.order, turn.who)).collect();
        assert_eq!(orders, [(1, 7), (2, 7), (3, 7)]);
        let in_time =
            |turn: &Turn| turn.asked_at <= turn.granted_at && turn.granted_at <= turn.released_at;
        assert!(turns.iter().all(in_time), "{turns:?}");
        let last = play(Alone(0), 7, times, 0).await.unwrap();
        assert_eq!(last.len(), 1);
    }
}
