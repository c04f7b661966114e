//! The core of **dlock**: distributed locks that tell you the truth.
//!
//! A [`Locker`] acquires locks from a [`LockStore`](store::LockStore) and gives [`Guard`]s: leases
//! that are renewed in the background, that know when they may have been lost, and that carry a
//! [`FencingToken`] which protects your data when they were.
//!
//! - [`store`]: the trait that backends implement, and its vocabulary.
//! - [`Locker`], [`LockBuilder`], [`Guard`], [`Lease`]: what users hold in their hands.
//! - [`fence`]: claim, then write.
//! - [`MemoryStore`]: the reference backend, in-process.
//! - [`runtime`]: clock, sleep, spawn and randomness, injected.
//! - [`lease`]: the pure state machine of one lease.
//! - `testing` (feature `test-util`): a store that answers as your test says.
//! - `conformance` (feature `conformance`): the test kit for backends.
//!
//! # The rules
//!
//! The comments cite them by number where they are kept; each has a test named after it.
//!
//! | rule | in one line |
//! |---|---|
//! | R1 | the deadline counts from the send of the request that set the expiry |
//! | R2 | one id for each attempt; a grant is id *and* token |
//! | R3 | what may have been applied is cleaned up by id, until that is final |
//! | R4 | every future may be dropped anywhere |
//! | R5 | a release touches its own grant only |
//! | R6 | a renewal never resurrects and never shortens |
//! | R7 | a loss is known without network |
//! | R8 | a new guard has a minimum of its TTL left |
//! | R9 | validity is measured on a clock that counts suspend |
//! | R10 | tokens are unique and rise |
//! | R11 | waiting is pushed and fair, as far as the store declares |
//! | R12 | the scoped form releases after its body |
//! | R13 | dropping a guard never blocks; `close` waits for what it left to do |
//! | R14 | secrets are never shown |
//! | R15 | suspended is not lost |
//! | R16 | a TTL is never silently changed |

mod attempt_id;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
pub mod fence;
mod grant;
mod instant;
mod label;
pub mod lease;
mod locker;
pub mod memory;
mod name;
mod observer;
pub mod runtime;
pub mod store;
#[cfg(feature = "test-util")]
pub mod testing;
mod token;

pub use attempt_id::AttemptId;
pub use error::{AcquireError, Ended, InvalidRequest, LeaseError, LossCause, RunError};
pub use grant::{Grant, GrantHash};
pub use instant::Instant;
pub use label::OwnerLabel;
pub use lease::Terms;
pub use locker::{
    Closed, Guard, Interval, Lease, LockBuilder, Locker, LockerBuilder, RetryPolicy, Status,
    Watching,
};
pub use memory::MemoryStore;
pub use name::LockName;
pub use observer::{Observation, Observer};
pub use token::FencingToken;
