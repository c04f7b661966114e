use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

use super::{NoRuntime, Runtime, Task};
use crate::Instant;

/// Production's [`Runtime`]: tokio's tasks and timers, the operating system's clock and randomness.
///
/// It uses the tokio runtime that it is called in, and outside of any (a guard dropped on a plain
/// thread) the one in which a lock was acquired last. The runtime needs its time driver
/// (`enable_time`). The clock is `CLOCK_BOOTTIME` on Linux, which
/// goes on while the machine is suspended; `CLOCK_MONOTONIC` on other Unixes (it counts suspend on
/// macOS and not on the BSDs); `std::time::Instant` elsewhere.
#[derive(Default)]
pub struct TokioRuntime {
    /// Where [`Runtime::ready`] was asked last.
    latest: Mutex<Option<Handle>>,
}

impl TokioRuntime {
    /// May be called outside a tokio runtime.
    pub fn new() -> Self {
        Self {
            latest: Mutex::new(Handle::try_current().ok()),
        }
    }

    fn handle(&self) -> Option<Handle> {
        Handle::try_current().ok().or_else(|| {
            self.latest
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        })
    }
}

#[allow(clippy::disallowed_methods)] // This is the one place that reaches tokio and the system.
impl Runtime for TokioRuntime {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn sleep(&self, duration: Duration) -> Task {
        match self.handle() {
            Some(handle) => {
                let _inside = handle.enter();
                Box::pin(tokio::time::sleep(duration))
            }
            // Unreachable behind `ready`; a sleep that never ends would be worse than none.
            None => Box::pin(std::future::ready(())),
        }
    }

    fn spawn(&self, task: Task) {
        if let Some(handle) = self.handle() {
            drop(handle.spawn(task));
        }
    }

    #[allow(clippy::expect_used)]
    fn random(&self) -> u64 {
        getrandom::u64().expect("the operating system gives random bytes")
    }

    fn ready(&self) -> Result<(), NoRuntime> {
        let handle = self.handle().ok_or(NoRuntime)?;
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        Ok(())
    }
}

impl fmt::Debug for TokioRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokioRuntime")
    }
}

#[cfg(unix)]
mod clock {
    use rustix::time::{ClockId, clock_gettime};

    use crate::Instant;

    // R9: suspend counts.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: ClockId = ClockId::Monotonic;

    pub(super) fn now() -> Instant {
        let time = clock_gettime(CLOCK);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Instant::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

#[cfg(not(unix))]
mod clock {
    use std::sync::OnceLock;

    use crate::Instant;

    #[allow(clippy::disallowed_methods)]
    pub(super) fn now() -> Instant {
        static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
        Instant::ORIGIN + ORIGIN.get_or_init(std::time::Instant::now).elapsed()
    }
}
