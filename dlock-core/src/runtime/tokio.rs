use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

use super::{NoRuntime, Runtime, Task};
use crate::Instant;

/// Production's [`Runtime`]: tokio's tasks and timers, the operating system's clock and randomness.
///
/// Tasks run on its home: the tokio runtime that it was made in, or else the first one that it was
/// used in; when that has ended, the one it is used in then. Runtimes need their time driver
/// (`enable_time`). The clock is `CLOCK_BOOTTIME` on Linux, which
/// goes on while the machine is suspended; `CLOCK_MONOTONIC` on other Unixes (it counts suspend on
/// macOS and not on the BSDs); `std::time::Instant` elsewhere.
#[derive(Default)]
pub struct TokioRuntime {
    home: Mutex<Option<Handle>>,
}

impl TokioRuntime {
    /// May be called outside a tokio runtime.
    pub fn new() -> Self {
        Self {
            home: Mutex::new(Handle::try_current().ok()),
        }
    }

    fn home(&self) -> MutexGuard<'_, Option<Handle>> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[allow(clippy::disallowed_methods)] // This is the one place that reaches tokio and the system.
impl Runtime for TokioRuntime {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn sleep(&self, duration: Duration) -> Task {
        match Handle::try_current().ok().or_else(|| self.home().clone()) {
            Some(handle) => {
                let _inside = handle.enter();
                Box::pin(tokio::time::sleep(duration))
            }
            // Unreachable behind `ready`; a sleep that never ends would be worse than none.
            None => Box::pin(std::future::ready(())),
        }
    }

    fn spawn(&self, task: Task) {
        let home = self.home().clone();
        // A runtime that has ended drops what it is given at once: then the task comes back.
        let left = match home {
            Some(home) => spawn_on(&home, task),
            None => Some(task),
        };
        if let (Some(task), Ok(current)) = (left, Handle::try_current()) {
            *self.home() = Some(current.clone());
            let _ = spawn_on(&current, task);
        }
    }

    fn random(&self) -> u64 {
        rand::random()
    }

    fn ready(&self) -> Result<(), NoRuntime> {
        let mut home = self.home();
        if home.is_none() {
            *home = Some(Handle::try_current().map_err(|_| NoRuntime)?);
        }
        Ok(())
    }
}

/// Gives the task back when this runtime has ended.
#[allow(clippy::disallowed_methods)]
fn spawn_on(handle: &Handle, task: Task) -> Option<Task> {
    let slot = Arc::new(Mutex::new(Some(task)));
    let take =
        |slot: &Mutex<Option<Task>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let spawned = handle.spawn({
        let slot = slot.clone();
        async move {
            if let Some(task) = take(&slot) {
                task.await;
            }
        }
    });
    if spawned.is_finished() {
        take(&slot)
    } else {
        None
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
