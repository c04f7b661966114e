/// A member's monotonic clock: true time at its own rate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    anchor_true: u64,
    anchor_local: u64,
    rate_ppb: i64,
}

impl Clock {
    /// From now on it runs at `1 + rate_ppb / 1e9`.
    pub fn set_rate(&mut self, now: u64, rate_ppb: i64) {
        self.anchor_local = self.local(now);
        self.anchor_true = now;
        self.rate_ppb = rate_ppb;
    }

    /// What it shows at a true time.
    pub fn local(&self, now: u64) -> u64 {
        let passed = i128::from(now) - i128::from(self.anchor_true);
        let local = i128::from(self.anchor_local)
            + passed * (1_000_000_000 + i128::from(self.rate_ppb)) / 1_000_000_000;
        u64::try_from(local).unwrap_or(0)
    }

    /// The first true time at which it shows as much.
    pub fn true_time(&self, local: u64) -> u64 {
        let rate = 1_000_000_000 + i128::from(self.rate_ppb);
        if rate <= 0 {
            return u64::MAX;
        }
        let left = i128::from(local) - i128::from(self.anchor_local);
        let up = if left > 0 { rate - 1 } else { 0 };
        let passed = (left * 1_000_000_000 + up) / rate;
        u64::try_from(i128::from(self.anchor_true) + passed).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_true_time_is_the_first_that_shows_it(at in 0..1u64 << 40, rate in -500_000_000..500_000_000i64, then in 0..1u64 << 40) {
            let mut clock = Clock::default();
            clock.set_rate(at, rate);
            let local = clock.local(at) + then;
            let when = clock.true_time(local);
            prop_assert!(clock.local(when) >= local);
            prop_assert!(when == at || clock.local(when - 1) < local);
        }
    }
}
