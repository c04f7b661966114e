use std::fmt;

use dlock_core::store::Property as Promised;
use serde::{Deserialize, Serialize};

/// What the checker asks of a trace: safety (S) at every moment, liveness (L) once the faults are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Property {
    /// Believed intervals of one lock do not overlap.
    S1,
    /// Authority intervals of one lock do not overlap.
    S2,
    /// No stale holder reaches the protected resource.
    S3,
    /// Tokens are unique and rise, and renewal leaves them alone.
    S4,
    /// Nobody ends, shortens or extends another's lock.
    S5,
    /// Every lock belongs to somebody; an orphan lasts at most its TTL.
    S6,
    /// Nobody believes longer than the store says so.
    S7,
    /// A running, connected holder notices an early loss in time.
    S8,
    /// Everybody who asks is granted or told within the bound.
    L1,
    /// A free lock with a waiter is granted.
    L2,
    /// Orphans of the faults are gone after their TTL.
    L3,
    /// Waiters are granted in the order that the store declares.
    L4,
}

/// The safety properties by their names, for tests that read aloud: `.check(Property::NoStaleWrite)`.
#[allow(non_upper_case_globals)] // They stand where a variant stands.
impl Property {
    /// [`Property::S1`].
    pub const BelievedExclusion: Self = Self::S1;
    /// [`Property::S2`].
    pub const AuthorityExclusion: Self = Self::S2;
    /// [`Property::S3`].
    pub const NoStaleWrite: Self = Self::S3;
    /// [`Property::S4`].
    pub const TokensRise: Self = Self::S4;
    /// [`Property::S5`].
    pub const OwnGrantOnly: Self = Self::S5;
    /// [`Property::S6`].
    pub const NoPhantom: Self = Self::S6;
    /// [`Property::S7`].
    pub const DeadlineBeforeExpiry: Self = Self::S7;
    /// [`Property::S8`].
    pub const LossNoticed: Self = Self::S8;
}

impl Property {
    /// All, in order.
    pub const ALL: [Self; 12] = [
        Self::S1,
        Self::S2,
        Self::S3,
        Self::S4,
        Self::S5,
        Self::S6,
        Self::S7,
        Self::S8,
        Self::L1,
        Self::L2,
        Self::L3,
        Self::L4,
    ];

    /// In one sentence, without its end.
    pub fn title(self) -> &'static str {
        match self {
            Self::S1 => "believed intervals of one lock do not overlap",
            Self::S2 => "authority intervals of one lock do not overlap",
            Self::S3 => "no stale holder reaches the protected resource",
            Self::S4 => "tokens are unique and rise, and renewal leaves them alone",
            Self::S5 => "nobody ends, shortens or extends another's lock",
            Self::S6 => "every lock belongs to somebody, an orphan for at most its TTL",
            Self::S7 => "nobody believes longer than the store says so",
            Self::S8 => "a running, connected holder notices an early loss in time",
            Self::L1 => "everybody who asks is granted or told within the bound",
            Self::L2 => "a free lock with a waiter is granted",
            Self::L3 => "orphans of the faults are gone after their TTL",
            Self::L4 => "waiters are granted in the order that the store declares",
        }
    }

    /// What is seen when it is violated, in a few words.
    pub fn harm(self) -> &'static str {
        match self {
            Self::S1 => "two believed at once",
            Self::S2 => "two owners at once",
            Self::S3 => "a stale access got through",
            Self::S4 => "tokens fell or repeated",
            Self::S5 => "another's lock was touched",
            Self::S6 => "a lock that was nobody's",
            Self::S7 => "believed for too long",
            Self::S8 => "the loss went unnoticed",
            Self::L1 => "not granted, not told",
            Self::L2 => "a free lock was not granted",
            Self::L3 => "a lock that was nobody's stayed",
            Self::L4 => "out of turn",
        }
    }

    /// The property of the checker for what a store declares.
    pub fn of(promised: Promised) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|property| property.promised() == Some(promised))
    }

    /// The property under which a store declares what it promises; none for liveness.
    pub fn promised(self) -> Option<Promised> {
        match self {
            Self::S1 => Some(Promised::BelievedExclusion),
            Self::S2 => Some(Promised::AuthorityExclusion),
            Self::S3 => Some(Promised::NoStaleEffect),
            Self::S4 => Some(Promised::TokensRise),
            Self::S5 => Some(Promised::OwnGrantOnly),
            Self::S6 => Some(Promised::NoPhantom),
            Self::S7 => Some(Promised::DeadlineBeforeExpiry),
            Self::S8 => Some(Promised::LossNoticed),
            Self::L1 | Self::L2 | Self::L3 | Self::L4 => None,
        }
    }
}

/// `S1`, …
impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
