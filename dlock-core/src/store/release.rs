use super::Trail;
use crate::{AttemptId, Grant};

/// What to release.
#[derive(Clone, Debug)]
pub enum Release {
    /// Exactly this grant: id and token.
    Grant(Grant, Trail),
    /// Whatever the attempt has: a grant with any token, or its queue entry. For attempts whose
    /// answer is not known.
    Attempt(AttemptId, Trail),
}

/// The store's answer to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// Something of ours was there and is gone now.
    pub removed: bool,
    /// Nothing that was sent before can bring it back: the release was surely processed after
    /// every request of the attempt (R3). When `false`, the `Locker` repeats the release in the
    /// background until a TTL after the attempt's last send.
    pub settled: bool,
}
