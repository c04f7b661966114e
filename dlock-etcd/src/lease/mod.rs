//! Leases: one for each attempt at a time, kept warm in a pool, kept alive over one stream.

mod keepalive;
mod pool;

pub(crate) use keepalive::{Keepalives, Kept};
pub(crate) use pool::Pool;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dlock_core::Instant;

/// A lease at etcd.
#[derive(Debug)]
pub(crate) struct Lease {
    pub id: i64,
    pub ttl: Duration,
    /// R1: the sending of the last grant or keepalive that was answered.
    renewed_from: AtomicU64,
    /// etcd says that it does not exist.
    gone: AtomicBool,
    /// It is being revoked.
    retired: AtomicBool,
    /// Granted by somebody else: not ours to pool or to revoke.
    pub foreign: bool,
}

impl Lease {
    pub fn granted(id: i64, ttl: Duration, sent_at: Instant) -> Self {
        Self {
            id,
            ttl,
            renewed_from: AtomicU64::new(sent_at.as_nanos()),
            gone: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            foreign: false,
        }
    }

    /// One that somebody else was granted, and of which we only know that it lives.
    pub fn of_another(id: i64, ttl: Duration, renewed_from: Instant) -> Self {
        Self {
            foreign: true,
            ..Self::granted(id, ttl, renewed_from)
        }
    }

    pub fn renewed_from(&self) -> Instant {
        Instant::from_nanos(self.renewed_from.load(Ordering::Acquire))
    }

    /// A keepalive sent then was answered.
    pub fn kept(&self, sent_at: Instant) {
        self.renewed_from
            .fetch_max(sent_at.as_nanos(), Ordering::AcqRel);
    }

    pub fn set_gone(&self) {
        self.gone.store(true, Ordering::Release);
    }

    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub fn set_retired(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Nothing may be put under it any more.
    pub fn is_over(&self) -> bool {
        self.is_gone() || self.retired.load(Ordering::Acquire)
    }

    /// When it ends at the earliest.
    pub fn ends_at(&self) -> Instant {
        self.renewed_from() + self.ttl
    }

    /// At least half of it is left, as far as we know.
    pub fn is_fresh(&self, now: Instant) -> bool {
        !self.is_over() && now < self.renewed_from() + self.ttl / 2
    }
}
