//! What the workers have said, and whether it is what the server has.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

use crate::{NAMES, Result};

/// The entries of killed processes live 15 s, and their locks a TTL.
const UNTIL_ALL_IS_GONE: Duration = Duration::from_secs(25);

pub fn lock(number: u32) -> String {
    format!("soak-{number}")
}

/// In the lock's Cluster slot, as fenced data must be.
pub fn counter(number: u32) -> String {
    format!("{{lock:soak-{number}}}counter")
}

/// A worker's word to the parent: what, which lock, which value; a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// It is about to write this value.
    Trying,
    /// The server has acknowledged it.
    Written,
    /// The fence has refused it.
    Refused,
    /// A future was dropped.
    Cancelled,
    /// An error: its text is on stderr.
    Trouble,
}

const ALL: [(Said, &str); 5] = [
    (Said::Trying, "trying"),
    (Said::Written, "written"),
    (Said::Refused, "refused"),
    (Said::Cancelled, "cancelled"),
    (Said::Trouble, "trouble"),
];

impl Said {
    fn parse(line: &str) -> Option<(Self, u32, u64)> {
        let mut words = line.split(' ');
        let word = words.next()?;
        let (said, _) = ALL.iter().find(|(_, known)| *known == word)?;
        Some((
            *said,
            words.next()?.parse().ok()?,
            words.next()?.parse().ok()?,
        ))
    }

    pub fn say(self, number: u32, value: u64) {
        let word = ALL
            .iter()
            .find(|(said, _)| *said == self)
            .map_or("", |(_, word)| word);
        // Whole lines at once; a parent that is gone needs none.
        let _ = std::io::stdout()
            .lock()
            .write_all(format!("{word} {number} {value}\n").as_bytes());
    }
}

#[derive(Default)]
pub struct Ledger {
    locks: BTreeMap<u32, Lock>,
    totals: BTreeMap<Said, u64>,
}

#[derive(Default)]
struct Lock {
    written: BTreeSet<u64>,
    written_twice: u64,
    trying: BTreeSet<u64>,
}

impl Ledger {
    pub fn note(&mut self, line: &str) {
        // The last line of a killed process may be cut off.
        let Some((said, number, value)) = Said::parse(line) else {
            return;
        };
        *self.totals.entry(said).or_default() += 1;
        let lock = self.locks.entry(number).or_default();
        match said {
            Said::Trying => drop(lock.trying.insert(value)),
            Said::Written if !lock.written.insert(value) => lock.written_twice += 1,
            _ => {}
        }
    }

    /// Prints how it is, and returns how much is wrong.
    pub async fn compare(&self, url: &str) -> Result<u64> {
        let client = redis::Client::open(url)?;
        let mut server = client.get_multiplexed_async_connection().await?;
        let total = |said| self.totals.get(&said).copied().unwrap_or(0);
        println!(
            "{} acquisitions or releases cancelled, {} stale holders refused, {} errors",
            total(Said::Cancelled),
            total(Said::Refused),
            total(Said::Trouble)
        );
        let (mut seen, mut acknowledged, mut in_doubt, mut wrong) = (0, 0, 0, 0);
        let nothing = Lock::default();
        for number in 0..NAMES {
            let lock = self.locks.get(&number).unwrap_or(&nothing);
            let value: Option<u64> = redis::cmd("GET")
                .arg(counter(number))
                .query_async(&mut server)
                .await?;
            let value = value.unwrap_or(0);
            let missing = (1..=value).filter(|value| !lock.written.contains(value));
            let (explained, lost): (Vec<u64>, Vec<u64>) =
                missing.partition(|value| lock.trying.contains(value));
            let invented = lock.written.range(value + 1..).count() as u64;
            if value == 0 || !lost.is_empty() || invented > 0 || lock.written_twice > 0 {
                println!(
                    "soak-{number} is wrong: {value} seen, {} written by nobody, {invented} acknowledged beyond it, {} acknowledged twice",
                    lost.len(),
                    lock.written_twice
                );
                wrong += 1;
            }
            seen += value;
            acknowledged += lock.written.len();
            in_doubt += explained.len();
        }
        println!(
            "{seen} increments seen = {acknowledged} acknowledged + {in_doubt} of processes cut off in between"
        );
        if seen != (acknowledged + in_doubt) as u64 {
            wrong += 1;
        }
        let left = left_over(&mut server).await?;
        println!("keys left beside counters, fences and data: {left:?}");
        Ok(wrong + left.len() as u64)
    }
}

/// The lock keys, reservations and queues that stay.
async fn left_over(server: &mut MultiplexedConnection) -> Result<Vec<String>> {
    let until = Instant::now() + UNTIL_ALL_IS_GONE;
    loop {
        let mut left: Vec<String> = redis::cmd("KEYS").arg("*").query_async(server).await?;
        left.retain(|key| {
            let stays = ["}dlock:counter:", "}dlock:fence:", "}counter"];
            !stays.iter().any(|part| key.contains(part))
        });
        if left.is_empty() || Instant::now() > until {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
