/// A server's wall clock: an offset that may jump both ways, and a rate.
///
/// Lives on the true clock; reading it has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    /// The true time at which it was last set.
    set_at_ns: u64,
    /// What it showed then, in µs since 1970.
    showed_us: i64,
    /// Parts per billion by which it runs fast.
    rate_ppb: i64,
}

impl WallClock {
    /// 2026-01-01 00:00:00 UTC, at the beginning of every world.
    pub const BEGINNING_US: i64 = 1_767_225_600_000_000;

    /// A right clock.
    pub fn right() -> Self {
        Self {
            set_at_ns: 0,
            showed_us: Self::BEGINNING_US,
            rate_ppb: 0,
        }
    }

    /// What it shows at a true time, in µs since 1970.
    pub fn at(&self, true_ns: u64) -> i64 {
        let ran = i128::from(true_ns) - i128::from(self.set_at_ns);
        let ran = ran * i128::from(1_000_000_000 + self.rate_ppb) / 1_000_000_000;
        self.showed_us + (ran / 1000) as i64
    }

    /// The true time at which it shows this, in ns: 0 if that is long past.
    pub fn when(&self, wall_us: i64) -> u64 {
        let left = i128::from(wall_us - self.showed_us) * 1000;
        let rate = i128::from(1_000_000_000 + self.rate_ppb).max(1);
        let ran = (left * 1_000_000_000).div_euclid(rate);
        u64::try_from(i128::from(self.set_at_ns) + ran).unwrap_or(0)
    }

    /// The same clock after a jump by so many µs at this true time.
    #[must_use]
    pub fn stepped(self, true_ns: u64, by_us: i64) -> Self {
        Self {
            set_at_ns: true_ns,
            showed_us: self.at(true_ns) + by_us,
            ..self
        }
    }

    /// The same clock with another rate from this true time on.
    #[must_use]
    pub fn running_at(self, true_ns: u64, rate_ppb: i64) -> Self {
        Self {
            set_at_ns: true_ns,
            showed_us: self.at(true_ns),
            rate_ppb,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_is_the_inverse_of_at() {
        for rate_ppb in [0, 10_000_000, -10_000_000] {
            let clock = WallClock::right()
                .running_at(5_000_000_000, rate_ppb)
                .stepped(7_000_000_000, -3_000_000);
            for true_ns in [7_000_000_000, 8_123_456_000, 99_000_000_000] {
                let back = clock.when(clock.at(true_ns));
                assert!(back.abs_diff(true_ns) <= 2000, "{true_ns} {back}");
            }
        }
    }
}
