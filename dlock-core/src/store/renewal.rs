use std::time::Duration;

use super::{Expiry, Trail};
use crate::{Grant, LockName};

/// One lease to renew.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Renewal {
    /// The lock.
    pub name: LockName,
    /// The grant that must still hold it.
    pub grant: Grant,
    /// The new effective TTL, counted from this request. May differ from the TTL before (`extend`).
    pub ttl: Duration,
    /// What the store left at the attempt. Empty for a grant that was made elsewhere.
    pub trail: Trail,
}

impl Renewal {
    /// A renewal with an empty trail.
    pub fn new(name: LockName, grant: Grant, ttl: Duration) -> Self {
        Self {
            name,
            grant,
            ttl,
            trail: Trail::default(),
        }
    }

    pub(crate) fn trailing(mut self, trail: Trail) -> Self {
        self.trail = trail;
        self
    }
}

/// The store's answer to one renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Renewed {
    /// The lease lasts at least the TTL from the given send; longer when it lasted longer before.
    Until(Expiry),
    /// The grant no longer holds the lock. Final.
    NotOwner,
}
