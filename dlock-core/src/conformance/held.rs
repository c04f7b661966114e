use std::time::Duration;

use crate::lease::Terms;
use crate::store::{Expiry, HeldBy, Inspection, Place, Trail};
use crate::{FencingToken, Grant, Instant, LockName, OwnerLabel};

/// A TTL that does not run out while a case runs.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// A TTL to wait out.
pub(super) const SHORT: Duration = Duration::from_secs(1);

/// How long after its TTL a lease may still block the lock (etcd looks for dead leases every half
/// second, and counts from its own receiving).
pub(super) const LATE_EXPIRY: Duration = Duration::from_secs(5);

/// A lock held without renewal.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) name: LockName,
    pub(super) grant: Grant,
    pub(super) expiry: Expiry,
    pub(super) ttl: Duration,
    pub(super) label: OwnerLabel,
    pub(super) trail: Trail,
    /// R1: which send set the expiry.
    pub(super) counted_from: Instant,
    /// The answer was there.
    pub(super) known_at: Instant,
}

/// The store's refusal.
pub(super) struct Refused {
    pub(super) held_by: HeldBy,
    pub(super) place: Option<Box<dyn Place>>,
}

impl Held {
    pub(super) fn token(&self) -> FencingToken {
        self.grant.token
    }

    /// R1: the lease must last until here, if no clock is off by more than the usual drift.
    pub(super) fn lasts_until(&self) -> Instant {
        Terms::default().deadline(self.counted_from, self.ttl)
    }

    /// Without declared fencing, tokens do not tell two attempts apart; labels do, where a case
    /// gives them different ones.
    pub(super) fn shows_in(&self, seen: &Inspection) -> bool {
        let label = seen
            .label
            .as_ref()
            .filter(|label| !label.as_str().is_empty());
        seen.token == Some(self.token()) && label.is_none_or(|label| *label == self.label)
    }
}
