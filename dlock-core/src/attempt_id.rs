use std::fmt;

use crate::runtime::Runtime;

/// 128 random bits minted for each acquisition attempt: the owner value in the store.
///
/// It is a capability: whoever knows it can release the lock. Debug shows a short
/// prefix only (R14); [`AttemptId::expose`] gives the whole id to a store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u128);

impl AttemptId {
    /// A new id from the runtime's randomness (R2: one for each attempt).
    pub fn mint(runtime: &dyn Runtime) -> Self {
        Self(u128::from(runtime.random()) << 64 | u128::from(runtime.random()))
    }

    /// The id with these bits; for stores that read ids back, and for tests.
    pub fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The whole id as 32 lower-case hex digits. A secret: for the store, never for a log.
    pub fn expose(&self) -> String {
        format!("{:032x}", self.0)
    }

    /// Reads what [`AttemptId::expose`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical =
            text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(Self)
    }

    pub(crate) fn bits(&self) -> u128 {
        self.0
    }
}

// R14: enough to tell two attempts apart in a log, too little to release with.
impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06x}…", self.0 >> 104)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
