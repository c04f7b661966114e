//! Everything the library needs from the outside world besides the store: a clock, sleep, spawn
//! and randomness. Production code reaches them only through here, so that a simulator can own them.

mod tokio;
mod wait;

pub use tokio::TokioRuntime;
pub use wait::{Elapsed, Race, race, sleep_until, timeout};

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::Instant;

/// A boxed future that can be spawned.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Clock, sleep, spawn and randomness.
pub trait Runtime: Send + Sync + 'static {
    /// A monotonic clock that counts suspend (R9). Never goes backwards.
    fn now(&self) -> Instant;

    /// Completes after `duration`, or later. May be wrong about suspend: callers use
    /// [`sleep_until`], which looks at [`Runtime::now`] at least once a second.
    fn sleep(&self, duration: Duration) -> Task;

    /// Runs a task in the background. Never blocks, never panics: when the runtime is gone the
    /// task is dropped.
    fn spawn(&self, task: Task);

    /// 64 bits, unpredictable in production.
    fn random(&self) -> u64;

    /// Whether tasks can be spawned from here.
    fn ready(&self) -> Result<(), NoRuntime> {
        Ok(())
    }
}

/// There is no async runtime to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no tokio runtime here: call this inside one (`#[tokio::main]`, or `Runtime::block_on`), or give the locker its own `Runtime`"
)]
pub struct NoRuntime;
