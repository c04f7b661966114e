use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::trace::TrueClock;

/// The true time of one world, on machines and between steps.
#[derive(Debug, Default)]
pub struct WorldTime {
    /// Where the last step ended, in ns.
    between_steps: AtomicU64,
}

impl WorldTime {
    pub(crate) fn step_ended(&self, at: Duration) {
        self.between_steps.store(nanos(at), Ordering::Relaxed);
    }
}

impl TrueClock for WorldTime {
    fn now_ns(&self) -> u64 {
        match turmoil::sim_elapsed() {
            Some(elapsed) => nanos(elapsed),
            None => self.between_steps.load(Ordering::Relaxed),
        }
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
