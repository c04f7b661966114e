use std::collections::{BTreeMap, BTreeSet};

/// When leases end, as a member that believes that it leads counts it, on its own clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Expiries {
    by_id: BTreeMap<i64, u64>,
    /// Those whose revocation has not been proposed.
    due: BTreeSet<(u64, i64)>,
}

impl Expiries {
    pub fn get(&self, id: i64) -> Option<u64> {
        self.by_id.get(&id).copied()
    }

    pub fn set(&mut self, id: i64, at_local: u64) {
        self.remove(id);
        self.by_id.insert(id, at_local);
        self.due.insert((at_local, id));
    }

    pub fn remove(&mut self, id: i64) {
        if let Some(at) = self.by_id.remove(&id) {
            self.due.remove(&(at, id));
        }
    }

    /// When the first of those ends that are not being revoked.
    pub fn first(&self) -> Option<u64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Those that have ended; they are being revoked from now on.
    pub fn take_ended(&mut self, local: u64) -> Vec<i64> {
        let mut ended = Vec::new();
        while let Some((_, id)) = self.due.first().copied().filter(|(at, _)| *at <= local) {
            self.due.pop_first();
            ended.push(id);
        }
        ended
    }

    /// The revocation of one has failed.
    pub fn not_revoked(&mut self, id: i64) {
        if let Some(at) = self.get(id) {
            self.due.insert((at, id));
        }
    }
}
