//! What a broken store knows beyond what the memory store tells.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::store::{AttemptRequest, Granted, Inspection};
use crate::{AttemptId, FencingToken, Grant, Instant, LockName};

#[derive(Default)]
pub(super) struct Notes {
    pub(super) names: BTreeMap<LockName, NameNotes>,
    /// Every grant ever given.
    pub(super) granted: BTreeMap<AttemptId, Granted>,
    /// Every attempt that was ever refused.
    pub(super) refused: BTreeSet<AttemptId>,
}

#[derive(Default)]
pub(super) struct NameNotes {
    /// The newest grant, which may have ended.
    pub(super) newest: Option<Noted>,
    /// The newest look at a holder.
    pub(super) seen: Option<Inspection>,
    /// How often something was released.
    pub(super) releases: u64,
    /// A queue of our own, for the flaws of order.
    pub(super) queue: VecDeque<AttemptId>,
    /// A lease was shortened to here.
    pub(super) ends_at: Option<Instant>,
    /// The tokens that were shown in place of the memory store's.
    pub(super) shown: Vec<Shown>,
    /// Counters of tokens, by client.
    pub(super) counters: BTreeMap<u64, u64>,
}

/// A grant of the memory store.
#[derive(Clone)]
pub(super) struct Noted {
    pub(super) grant: Grant,
    pub(super) request: AttemptRequest,
    pub(super) client: u64,
}

#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub(super) grant: Grant,
    pub(super) as_token: FencingToken,
}

impl Notes {
    pub(super) fn name(&mut self, name: &LockName) -> &mut NameNotes {
        self.names.entry(name.clone()).or_default()
    }

    pub(super) fn released(&mut self, name: &LockName) {
        self.name(name).releases += 1;
    }
}
