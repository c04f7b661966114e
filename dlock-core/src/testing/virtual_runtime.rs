use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant as TokioInstant;

use crate::Instant;
use crate::runtime::{Runtime, Task};

/// A [`Runtime`] on tokio's paused time, for tests: sleeps take no time, the clock follows them,
/// and randomness comes from a seed.
///
/// Use it inside `#[tokio::test(start_paused = true)]`. [`VirtualRuntime::suspend`] moves the clock
/// and not the timers, as a suspended machine does.
#[derive(Debug)]
pub struct VirtualRuntime {
    origin: TokioInstant,
    suspended_nanos: AtomicU64,
    random: AtomicU64,
}

#[allow(clippy::disallowed_methods)] // A runtime is where tokio is reached.
impl VirtualRuntime {
    /// A runtime whose clock starts an hour after its origin.
    pub fn new(seed: u64) -> Self {
        let hour = Duration::from_secs(3600).as_nanos() as u64;
        Self {
            origin: TokioInstant::now(),
            suspended_nanos: AtomicU64::new(hour),
            random: AtomicU64::new(seed),
        }
    }

    /// The clock jumps forward; timers do not notice.
    pub fn suspend(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.suspended_nanos.fetch_add(nanos, Ordering::AcqRel);
    }
}

#[allow(clippy::disallowed_methods)]
impl Runtime for VirtualRuntime {
    fn now(&self) -> Instant {
        let ran = TokioInstant::now().duration_since(self.origin);
        Instant::from_nanos(self.suspended_nanos.load(Ordering::Acquire)) + ran
    }

    fn sleep(&self, duration: Duration) -> Task {
        Box::pin(tokio::time::sleep(duration))
    }

    fn spawn(&self, task: Task) {
        drop(tokio::spawn(task));
    }

    // SplitMix64: every seed gives a full-period stream.
    fn random(&self) -> u64 {
        let state = self
            .random
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::AcqRel)
            .wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
