use std::fmt;

/// A number that rises with every grant of a lock name and never changes while a grant lives (R10).
///
/// Send it with every write to the protected resource, which refuses older ones: see [`crate::fence`].
/// At most `i64::MAX`, because PostgreSQL has no unsigned 64-bit integer. Tokens of different stores
/// do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(u64);

impl FencingToken {
    /// The largest token.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// `None` above `i64::MAX`.
    pub const fn new(value: u64) -> Option<Self> {
        if value <= i64::MAX as u64 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The number.
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
