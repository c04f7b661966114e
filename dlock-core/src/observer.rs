//! What becomes of locks, told to whoever wants to hear: metrics, an audit, a simulator's checker.

use std::time::Duration;

use crate::error::Ended;
use crate::{Grant, Instant, LockName};

/// Hears what becomes of a locker's locks (`LockerBuilder::observer`).
///
/// Called in the middle of things, sometimes with an internal mutex held: it must return at once, must not panic,
/// and must not use the locker, its guards or its leases.
pub trait Observer: Send + Sync + 'static {
    /// This has just happened.
    fn observe(&self, observation: Observation<'_>);
}

/// One thing that happened. `acquisition` is a number, unique for the locker, of one call of `acquire`,
/// `try_acquire` or `run`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Observation<'a> {
    /// Somebody asks for a lock.
    Acquiring {
        /// The call.
        acquisition: u64,
        /// The lock.
        name: &'a LockName,
        /// `try_acquire`.
        trying: bool,
        /// The wait budget.
        wait: Option<Duration>,
    },
    /// The guard is being handed out.
    Granted {
        /// The call.
        acquisition: u64,
        /// The lock.
        name: &'a LockName,
        /// The grant. A secret (R14): show [`Grant::hash`].
        grant: Grant,
        /// The effective TTL.
        ttl: Duration,
        /// When this client stops believing in the lease if it is not renewed, on the runtime's clock.
        deadline: Instant,
    },
    /// The call returned without a guard.
    NotGranted {
        /// The call.
        acquisition: u64,
        /// The lock.
        name: &'a LockName,
        /// The error; none: `try_acquire` found the lock busy.
        error: Option<&'a crate::AcquireError>,
    },
    /// The future was dropped before it ended.
    Abandoned {
        /// The call.
        acquisition: u64,
        /// The lock.
        name: &'a LockName,
    },
    /// A renewal or `extend` moved the deadline.
    Extended {
        /// The lock.
        name: &'a LockName,
        /// The grant.
        grant: Grant,
        /// The new deadline.
        deadline: Instant,
    },
    /// The lease was released or found lost. A deadline that nobody looks at passes unsaid, at most for a second.
    Ended {
        /// The lock.
        name: &'a LockName,
        /// The grant.
        grant: Grant,
        /// How.
        how: &'a Ended,
    },
}
