use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on a [`Runtime`](crate::runtime::Runtime)'s monotonic clock, in nanoseconds since an
/// origin of the runtime's choice. Arithmetic saturates: no TTL overflows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The runtime's origin.
    pub const ORIGIN: Self = Self(0);
    /// The end of time (584 years after the origin).
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// This many nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds after the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}
