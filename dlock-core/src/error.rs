//! Every error of this crate: what happened, to which lock, and what to do.

use std::sync::Arc;
use std::time::Duration;

use crate::runtime::NoRuntime;
use crate::store::{HeldBy, StoreError};
use crate::{LockName, OwnerLabel};

/// A request that can never work, refused before any I/O.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// Lock names have at least one byte.
    #[error("the lock name is empty: give it at least one character")]
    EmptyName,
    /// Lock names have at most 512 bytes.
    #[error("the lock name has {bytes} bytes and may have 512: shorten or hash it")]
    NameTooLong {
        /// The length of the name.
        bytes: usize,
    },
    /// The store cannot do this TTL (R16: it is refused, not changed).
    #[error(
        "a TTL of {ttl:?} is outside what the store can do: choose one from {min:?} to {max:?}"
    )]
    TtlOutOfRange {
        /// The TTL asked for.
        ttl: Duration,
        /// The smallest TTL of this store.
        min: Duration,
        /// The largest TTL of this store.
        max: Duration,
    },
    /// After clock drift and the safety margin nothing is left of this TTL.
    #[error("a TTL of {ttl:?} leaves nothing after drift and margin: choose a longer one")]
    TtlTooShort {
        /// The TTL asked for.
        ttl: Duration,
    },
    /// The retry policy cannot run within the wait budget.
    #[error(
        "{tries} tries take at least {needed:?}, but the wait budget is {wait:?}: allow more time or fewer tries"
    )]
    RetriesExceedWait {
        /// Tries asked for.
        tries: u32,
        /// The time the pauses between them take.
        needed: Duration,
        /// The wait budget.
        wait: Duration,
    },
    /// Zero tries never acquire anything.
    #[error("a retry policy of 0 tries never asks: allow at least 1")]
    NoTries,
    /// A wait budget of zero never waits.
    #[error("a wait budget of zero never waits: use try_acquire()")]
    ZeroWait,
    /// `try_acquire` asks once; a wait budget or a retry policy contradicts it.
    #[error("try_acquire() asks once and does not wait: drop wait() and retry(), or use acquire()")]
    TryWaits,
    /// A share is a number above 0 and at most 1; a drift is below 1.
    #[error("{what} of {value} makes no sense: {remedy}")]
    OutOfRange {
        /// Which option.
        what: &'static str,
        /// Its value, as text.
        value: String,
        /// What would be right.
        remedy: &'static str,
    },
}

/// Why a lock was not acquired. Nothing is left held: what may have been applied is cleaned up in
/// the background (R3, R4).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcquireError {
    /// The request can never work.
    #[error(transparent)]
    InvalidRequest(#[from] InvalidRequest),
    /// The wait budget, or the number of tries, is used up and somebody else has the lock.
    #[doc(alias = "FailedToObtainKey")]
    #[doc(alias = "AlreadyLockedError")]
    #[error("lock `{name}` was not free within {waited:?} ({attempts} attempts){}: wait longer or try later", holder(.held_by))]
    TimedOut {
        /// The lock.
        name: LockName,
        /// How long we waited.
        waited: Duration,
        /// How often the store was asked.
        attempts: u32,
        /// Who held the lock when it was last asked.
        held_by: HeldBy,
    },
    /// The store answers so slowly that too little of the TTL was left at every grant (R8).
    #[error(
        "lock `{name}` was granted with only {left:?} of the required {needed:?} left and given back: choose a longer TTL or a faster store"
    )]
    TooSlow {
        /// The lock.
        name: LockName,
        /// The validity left at the last grant.
        left: Duration,
        /// The validity required.
        needed: Duration,
    },
    /// The store failed.
    #[error("lock `{name}`: {source}")]
    Store {
        /// The lock.
        name: LockName,
        /// The store's error.
        source: StoreError,
    },
    /// The locker was closed.
    #[error("the locker is closed: make a new one")]
    Closed,
    /// There is no runtime to run on.
    #[error(transparent)]
    NoRuntime(#[from] NoRuntime),
}

fn holder(held_by: &HeldBy) -> String {
    let label = held_by
        .label
        .as_ref()
        .map(OwnerLabel::as_str)
        .filter(|text| !text.is_empty());
    match (label, held_by.time_left) {
        (Some(label), Some(left)) => format!(", held by `{label}` for at most {left:?} more"),
        (Some(label), None) => format!(", held by `{label}`"),
        (None, Some(left)) => format!(", held for at most {left:?} more"),
        (None, None) => {
            "; its holder gives no name (`inspect` shows what is known; if nobody uses it any more, `force_release` frees it)".to_owned()
        }
    }
}

/// Why a lease ended without us releasing it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LossCause {
    /// The deadline passed without a renewal: renewal is off, or this process did not run.
    #[error("its TTL ran out before it was renewed")]
    Expired,
    /// The store says that the grant does not hold the lock any more.
    #[doc(alias = "LockNotOwnedError")]
    #[error("it was taken away, force-released, or had expired at the store")]
    NotOwner,
    /// The store did not answer until the deadline.
    #[error("the store did not answer any renewal until the deadline")]
    Unreachable,
    /// The store refused the renewals until the deadline.
    #[error("the store refused to renew it: {0}")]
    Store(#[source] Arc<StoreError>),
}

/// How a lease ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ended {
    /// We released it.
    Released,
    /// It was lost.
    Lost(LossCause),
}

/// Why an operation on a held lock failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// The lease was lost. Stop: somebody else may hold the lock.
    #[doc(alias = "LockNotOwnedError")]
    #[error("lock `{name}` is lost: {cause}; stop, and let the fence refuse what was written late")]
    Lost {
        /// The lock.
        name: LockName,
        /// Why.
        cause: LossCause,
    },
    /// The lease was released by us before.
    #[error("lock `{name}` was released before")]
    Released {
        /// The lock.
        name: LockName,
    },
    /// Renewal is failing; the deadline has not passed (R15). Start nothing new.
    #[error(
        "lock `{name}` cannot be renewed at the moment and ends in {left:?} if that lasts: start nothing new"
    )]
    Suspended {
        /// The lock.
        name: LockName,
        /// Time to the deadline.
        left: Duration,
    },
    /// Less time is left than asked for.
    #[error("lock `{name}` is ours for another {left:?} only, not {needed:?}: extend it first")]
    TooLittleLeft {
        /// The lock.
        name: LockName,
        /// Time to the deadline.
        left: Duration,
        /// Time asked for.
        needed: Duration,
    },
    /// The request can never work.
    #[error(transparent)]
    InvalidRequest(#[from] InvalidRequest),
    /// The store failed. After a release: it goes on in the background until the TTL is over.
    #[error("lock `{name}`: {source}")]
    Store {
        /// The lock.
        name: LockName,
        /// The store's error.
        source: StoreError,
    },
    /// There is no runtime to run on.
    #[error(transparent)]
    NoRuntime(#[from] NoRuntime),
}

/// Why the scoped form did not return the body's value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError<E> {
    /// The lock was not acquired; the body did not start.
    #[error(transparent)]
    Acquire(#[from] AcquireError),
    /// The lease was lost before the body ended. The body was dropped at an await point, or had
    /// just ended: its value is withheld, because it may have been computed without the lock.
    #[error("lock `{name}` was lost while the body ran: {cause}")]
    Lost {
        /// The lock.
        name: LockName,
        /// Why.
        cause: LossCause,
    },
    /// The body failed; the lock is released, or was lost (a body that returns the error of its
    /// `lease.check()` ends here).
    #[error("the body failed: {0}")]
    Body(E),
}
