use std::sync::{Mutex, MutexGuard, PoisonError};

/// The monotonic clocks of one machine: the one that counts suspend (`CLOCK_BOOTTIME`) and the one that timers and
/// `std::time::Instant` use, which does not. Both run at a rate of their own.
#[derive(Debug)]
pub(crate) struct MachineClock(Mutex<State>);

#[derive(Clone, Copy, Debug)]
struct State {
    /// The true time at which the rest was right.
    at_ns: u64,
    boot_ns: u64,
    timer_ns: u64,
    rate_ppb: i64,
    suspended: u32,
    vm_paused: u32,
}

impl MachineClock {
    /// A right clock that shows this at the beginning of the world.
    pub fn starting_at(boot_ns: u64) -> Self {
        Self(Mutex::new(State {
            at_ns: 0,
            boot_ns,
            timer_ns: boot_ns,
            rate_ppb: 0,
            suspended: 0,
            vm_paused: 0,
        }))
    }

    pub fn boot(&self, true_ns: u64) -> u64 {
        self.state().at(true_ns).boot_ns
    }

    pub fn timer(&self, true_ns: u64) -> u64 {
        self.state().at(true_ns).timer_ns
    }

    /// How much true time passes while timers count this much, if nothing changes.
    pub fn true_time_for(&self, timer_ns: u64) -> u64 {
        let rate = 1_000_000_000 + i128::from(self.state().rate_ppb);
        let needed = (i128::from(timer_ns) * 1_000_000_000).div_euclid(rate.max(1)) + 1;
        u64::try_from(needed).unwrap_or(u64::MAX)
    }

    /// Parts per billion by which it runs fast.
    pub fn set_rate(&self, true_ns: u64, rate_ppb: i64) {
        self.change(true_ns, |state| state.rate_ppb = rate_ppb);
    }

    /// Timers stand still, or go on.
    pub fn suspend(&self, true_ns: u64, on: bool) {
        self.change(true_ns, |state| count(&mut state.suspended, on));
    }

    /// Everything stands still, or goes on.
    pub fn pause_vm(&self, true_ns: u64, on: bool) {
        self.change(true_ns, |state| count(&mut state.vm_paused, on));
    }

    /// The rate of the clock that counts suspend, in parts per billion.
    pub fn boot_rate_ppb(&self) -> i64 {
        let state = self.state();
        if state.vm_paused > 0 {
            -1_000_000_000
        } else {
            state.rate_ppb
        }
    }

    fn change(&self, true_ns: u64, how: impl FnOnce(&mut State)) {
        let mut state = self.state();
        *state = state.at(true_ns);
        how(&mut state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn at(self, true_ns: u64) -> Self {
        let ran = i128::from(true_ns.saturating_sub(self.at_ns));
        let ran = ran * (1_000_000_000 + i128::from(self.rate_ppb)) / 1_000_000_000;
        let ran = u64::try_from(ran).unwrap_or(0);
        let boot = if self.vm_paused > 0 { 0 } else { ran };
        let timer = if self.suspended > 0 { 0 } else { boot };
        Self {
            at_ns: true_ns.max(self.at_ns),
            boot_ns: self.boot_ns + boot,
            timer_ns: self.timer_ns + timer,
            ..self
        }
    }
}

fn count(counter: &mut u32, on: bool) {
    *counter = if on {
        *counter + 1
    } else {
        counter.saturating_sub(1)
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn suspend_stops_timers_and_a_paused_vm_stops_everything() {
        let clock = MachineClock::starting_at(0);
        clock.suspend(SECOND, true);
        clock.suspend(3 * SECOND, false);
        assert_eq!(
            (clock.boot(4 * SECOND), clock.timer(4 * SECOND)),
            (4 * SECOND, 2 * SECOND)
        );
        clock.pause_vm(4 * SECOND, true);
        assert_eq!(
            (clock.boot(9 * SECOND), clock.timer(9 * SECOND)),
            (4 * SECOND, 2 * SECOND)
        );
        clock.pause_vm(9 * SECOND, false);
        assert_eq!(clock.boot(10 * SECOND), 5 * SECOND);
    }

    #[test]
    fn a_fast_clock_shows_more() {
        let clock = MachineClock::starting_at(0);
        clock.set_rate(SECOND, 10_000_000);
        assert_eq!(clock.boot(2 * SECOND), 2 * SECOND + 10_000_000);
        let needed = clock.true_time_for(SECOND);
        assert!(clock.boot(SECOND + needed) >= 2 * SECOND);
    }
}
