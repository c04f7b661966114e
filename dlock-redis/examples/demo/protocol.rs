//! What parent and workers say to each other, a line each, over the worker's stdin and stdout.
//! Instants are nanoseconds of the machine's clock, the same for all its processes.

use std::fmt;

/// From the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Stop between reading and writing the next time you hold the lock.
    Stall,
    /// Go on.
    GoOn,
}

/// From a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// One increment. `releasing_at` is when the release began, if it came in time.
    Wrote {
        token: u64,
        value: u64,
        granted_at: u64,
        releasing_at: Option<u64>,
    },
    /// It holds the lock, has read, and waits for [`Order::GoOn`].
    Stalled { token: u64, granted_at: u64 },
    /// The fence refused it; why its lock was lost.
    Refused {
        token: u64,
        newest: u64,
        lease: String,
    },
    /// It held the lock and found nothing left to do; it ends.
    Finished { token: u64, granted_at: u64 },
}

impl Order {
    pub fn parse(line: &str) -> Option<Self> {
        [Self::Stall, Self::GoOn]
            .into_iter()
            .find(|order| order.to_string() == line)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stall => "stall",
            Self::GoOn => "go on",
        })
    }
}

impl Report {
    pub fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |index: usize| words.get(index)?.parse::<u64>().ok();
        let token = number(1)?;
        Some(match words[0] {
            "wrote" => Self::Wrote {
                token,
                value: number(2)?,
                granted_at: number(3)?,
                releasing_at: number(4),
            },
            "stalled" => Self::Stalled {
                token,
                granted_at: number(2)?,
            },
            "refused" => Self::Refused {
                token,
                newest: number(2)?,
                lease: words[3..].join(" "),
            },
            "finished" => Self::Finished {
                token,
                granted_at: number(2)?,
            },
            _ => return None,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrote {
                token,
                value,
                granted_at,
                releasing_at,
            } => {
                write!(f, "wrote {token} {value} {granted_at}")?;
                releasing_at.map_or(Ok(()), |at| write!(f, " {at}"))
            }
            Self::Stalled { token, granted_at } => write!(f, "stalled {token} {granted_at}"),
            Self::Refused {
                token,
                newest,
                lease,
            } => write!(f, "refused {token} {newest} {lease}"),
            Self::Finished { token, granted_at } => write!(f, "finished {token} {granted_at}"),
        }
    }
}
