//! What parent and workers say to each other, a line each, over the worker's stdin and stdout.
//! Instants are nanoseconds of the machine's clock, the same for all its processes.

use std::fmt;

/// Between the words of a report.
const SEPARATOR: char = '\t';

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
    /// The store refused it, with these words; what its own lease says.
    Refused {
        token: u64,
        why: String,
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
        let words: Vec<&str> = line.split(SEPARATOR).collect();
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
                why: (*words.get(2)?).to_owned(),
                lease: (*words.get(3)?).to_owned(),
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
        let words = match self {
            Self::Wrote {
                token,
                value,
                granted_at,
                releasing_at,
            } => {
                let numbers = [
                    Some(token),
                    Some(value),
                    Some(granted_at),
                    releasing_at.as_ref(),
                ];
                let numbers = numbers.into_iter().flatten().map(u64::to_string);
                std::iter::once("wrote".to_owned()).chain(numbers).collect()
            }
            Self::Stalled { token, granted_at } => {
                vec![
                    "stalled".to_owned(),
                    token.to_string(),
                    granted_at.to_string(),
                ]
            }
            Self::Refused { token, why, lease } => {
                vec![
                    "refused".to_owned(),
                    token.to_string(),
                    why.clone(),
                    lease.clone(),
                ]
            }
            Self::Finished { token, granted_at } => {
                vec![
                    "finished".to_owned(),
                    token.to_string(),
                    granted_at.to_string(),
                ]
            }
        };
        f.write_str(&words.join(&SEPARATOR.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_understood() {
        let (token, granted_at) = (7, 1_000);
        let wrote = |releasing_at| Report::Wrote {
            token,
            value: 3,
            granted_at,
            releasing_at,
        };
        for report in [
            wrote(Some(2_000)),
            wrote(None),
            Report::Stalled { token, granted_at },
            Report::Refused {
                token,
                why: "token 7 is stale".to_owned(),
                lease: "it expired".to_owned(),
            },
            Report::Finished { token, granted_at },
        ] {
            assert_eq!(Report::parse(&report.to_string()), Some(report));
        }
    }

    #[test]
    fn the_last_line_of_a_killed_process_may_be_cut_off() {
        for line in ["", "wrote", "wrote\t7\t3", "refused\t7\tstale", "hello\t7"] {
            assert_eq!(Report::parse(line), None, "{line:?}");
        }
    }
}
