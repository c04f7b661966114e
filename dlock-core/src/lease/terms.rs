use std::time::Duration;

use crate::Instant;
use crate::error::InvalidRequest;

/// How a TTL at the store becomes a deadline here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    drift: f64,
    margin: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            drift: 0.01,
            margin: Duration::from_millis(2),
        }
    }
}

impl Terms {
    /// `drift` is the largest relative error between our clock's rate and the store's, from 0 to
    /// below 1 (default 0.01); `margin` is taken off every deadline (default 2 ms).
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

    /// The largest relative error between our clock's rate and the store's.
    pub fn drift(&self) -> f64 {
        self.drift
    }

    /// How much of a TTL a client may believe in; zero when nothing is left.
    pub fn validity(&self, ttl: Duration) -> Duration {
        ttl.saturating_sub(ttl.mul_f64(self.drift))
            .saturating_sub(self.margin)
    }

    /// R1: the deadline of a lease whose expiry was set by a request sent at `sent_at`.
    pub fn deadline(&self, sent_at: Instant, ttl: Duration) -> Instant {
        sent_at + self.validity(ttl)
    }
}
