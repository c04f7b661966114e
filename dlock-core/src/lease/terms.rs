use std::time::Duration;

use crate::Instant;
use crate::error::InvalidRequest;

/// How a TTL at the store becomes a deadline here.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Terms {
    /// The largest relative error between our clock's rate and the store's. Default 0.01.
    pub drift: f64,
    /// Taken off every deadline. Default 2 ms.
    pub margin: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { drift: 0.01, margin: Duration::from_millis(2) }
    }
}

impl Terms {
    /// Checks that `0 ≤ drift < 1`.
    pub fn new(drift: f64, margin: Duration) -> Result<Self, InvalidRequest> {
        if !(0.0..1.0).contains(&drift) {
            return Err(InvalidRequest::OutOfRange {
                what: "a drift",
                value: drift.to_string(),
                remedy: "choose a number from 0 to below 1",
            });
        }
        Ok(Self { drift, margin })
    }

    /// How much of a TTL a client may believe in; zero when nothing is left.
    pub fn validity(&self, ttl: Duration) -> Duration {
        ttl.mul_f64(1.0 - self.drift).saturating_sub(self.margin)
    }

    /// R1: the deadline of a lease whose expiry was set by a request sent at `sent_at`.
    pub fn deadline(&self, sent_at: Instant, ttl: Duration) -> Instant {
        sent_at + self.validity(ttl)
    }
}
