use std::time::Duration;

use crate::error::InvalidRequest;

/// A pause below the timers' resolution would be over before it began, and let nobody else run.
const SHORTEST: Duration = Duration::from_millis(1);

/// How often, and at what distance, a busy lock is asked for again.
///
/// A store that says where to wait wakes us earlier; `interval` is then the longest pause. The
/// default is no limit on tries, with pauses of 50 ms, doubled up to 1 s, each drawn evenly from
/// zero to that ("full jitter"). No pause is shorter than 1 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The most times the store is asked, whether it answers or fails; `None`: until the wait
    /// budget ends.
    pub tries: Option<u32>,
    /// The pause between two tries.
    pub interval: Interval,
}

/// The pause between two tries.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Interval {
    /// Always this long.
    Fixed(Duration),
    /// Evenly between zero and a bound that doubles from `first` to `longest`.
    Jittered {
        /// The first bound.
        first: Duration,
        /// The last bound.
        longest: Duration,
    },
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let interval = Interval::Jittered {
            first: Duration::from_millis(50),
            longest: Duration::from_secs(1),
        };
        Self {
            tries: None,
            interval,
        }
    }
}

impl RetryPolicy {
    /// `tries` in all, `interval` apart (distributed-locks' `retries` and `interval`).
    pub fn fixed(tries: u32, interval: Duration) -> Self {
        Self {
            tries: Some(tries),
            interval: Interval::Fixed(interval),
        }
    }

    /// Without a limit on tries, `interval` apart (dist-lock's `retryDelay`).
    pub fn every(interval: Duration) -> Self {
        Self {
            tries: None,
            interval: Interval::Fixed(interval),
        }
    }

    /// Without a limit on tries, pauses drawn with full jitter from bounds `first`, doubled up to `longest`.
    pub fn jittered(first: Duration, longest: Duration) -> Self {
        Self {
            tries: None,
            interval: Interval::Jittered { first, longest },
        }
    }

    pub(crate) fn check(&self, wait: Option<Duration>) -> Result<(), InvalidRequest> {
        let (Interval::Fixed(shortest)
        | Interval::Jittered {
            first: shortest, ..
        }) = self.interval;
        let longest = match self.interval {
            Interval::Fixed(interval) => interval,
            Interval::Jittered { longest, .. } => longest,
        };
        if shortest.min(longest).is_zero() {
            // Asking again without a pause would not let anybody else run.
            return Err(InvalidRequest::OutOfRange {
                what: "a retry interval",
                value: "0".to_owned(),
                remedy: "choose a time above 0",
            });
        }
        let Some(tries) = self.tries else {
            return Ok(());
        };
        if tries == 0 {
            return Err(InvalidRequest::NoTries);
        }
        if let (Some(wait), Interval::Fixed(interval)) = (wait, self.interval) {
            let needed = interval.saturating_mul(tries - 1);
            if needed > wait {
                return Err(InvalidRequest::RetriesExceedWait {
                    tries,
                    needed,
                    wait,
                });
            }
        }
        Ok(())
    }

    /// The pause after the `asked`-th try (1 is the first).
    pub(crate) fn pause(&self, asked: u32, random: u64) -> Duration {
        match self.interval {
            Interval::Fixed(interval) => interval.max(SHORTEST),
            Interval::Jittered { first, longest } => {
                let doublings = asked.saturating_sub(1).min(20);
                let bound = first.saturating_mul(1 << doublings).min(longest);
                bound
                    .mul_f64((random >> 11) as f64 / (1u64 << 53) as f64)
                    .max(SHORTEST)
            }
        }
    }

    /// The longest pause when the store wakes us: a fixed interval, else none.
    pub(crate) fn longest_wait_in_place(&self) -> Option<Duration> {
        match self.interval {
            Interval::Fixed(interval) => Some(interval.max(SHORTEST)),
            Interval::Jittered { .. } => None,
        }
    }
}
