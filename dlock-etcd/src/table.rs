use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlock_core::store::AttemptRequest;
use dlock_core::{AttemptId, Instant};

use crate::candidate::Candidate;
use crate::keys::Keys;
use crate::minder::Minder;

/// The attempts of which etcd may have something.
#[derive(Default)]
pub(crate) struct Table {
    state: Mutex<State>,
}

/// From how many attempts on those are looked for that have ended.
const SWEEP_FROM: usize = 256;

/// A waiting attempt that nobody has polled for so long does nothing for the others: polled, it looks about every
/// [`LOOK`](crate::waiting::LOOK).
const STALE: Duration = crate::waiting::LOOK.saturating_mul(2);

#[derive(Default)]
struct State {
    sweep_at: usize,
    candidates: BTreeMap<AttemptId, Arc<Candidate>>,
    /// The creation revisions of those that wait, for each range of keys, and when they were polled.
    waiting: BTreeMap<Vec<u8>, BTreeMap<i64, Instant>>,
    /// How many attempts ask now, for each range of keys.
    asking: BTreeMap<Vec<u8>, u32>,
}

/// See [`Table::asks`].
pub(crate) struct Asking<'a> {
    /// No other attempt of this store asks for the name, or waits for it.
    pub is_alone: bool,
    table: &'a Table,
    keys: &'a Keys,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut state = self.table.state();
        if let Some(asking) = state.asking.get_mut(&self.keys.range) {
            *asking -= 1;
            if *asking == 0 {
                state.asking.remove(&self.keys.range);
            }
        }
    }
}

impl Table {
    /// The attempt's own, made if there is none.
    pub fn of(&self, request: &AttemptRequest, keys: Keys, minder: &Arc<Minder>) -> Arc<Candidate> {
        let mut state = self.state();
        let known = state.candidates.get(&request.id);
        if let Some(candidate) = known.filter(|candidate| candidate.keys == keys) {
            return candidate.clone();
        }
        if state.candidates.len() >= state.sweep_at {
            // What nobody could release has ended by itself.
            let now = minder.now();
            state.candidates.retain(|_, one| !one.is_past(now));
            state.sweep_at = (2 * state.candidates.len()).max(SWEEP_FROM);
        }
        let candidate = Arc::new(Candidate::new(request, keys, minder));
        state.candidates.insert(request.id, candidate.clone());
        candidate
    }

    pub fn find(&self, id: AttemptId, keys: &Keys) -> Option<Arc<Candidate>> {
        let known = self.state().candidates.get(&id).cloned();
        known.filter(|candidate| candidate.keys == *keys)
    }

    pub fn has(&self, candidate: &Arc<Candidate>) -> bool {
        let state = self.state();
        let known = state.candidates.get(&candidate.id);
        known.is_some_and(|known| Arc::ptr_eq(known, candidate))
    }

    pub fn remove(&self, candidate: &Arc<Candidate>) {
        let mut state = self.state();
        let known = state.candidates.get(&candidate.id);
        if known.is_some_and(|known| Arc::ptr_eq(known, candidate)) {
            state.candidates.remove(&candidate.id);
        }
    }

    /// Its entry, made at this revision, stands in the queue.
    pub fn waits(&self, keys: &Keys, created: i64, now: Instant) {
        let mut state = self.state();
        let waiting = state.waiting.entry(keys.range.clone()).or_default();
        waiting.insert(created, now);
    }

    /// It does not any more.
    pub fn waits_no_more(&self, keys: &Keys, created: i64) {
        let mut state = self.state();
        let Some(waiting) = state.waiting.get_mut(&keys.range) else {
            return;
        };
        waiting.remove(&created);
        if waiting.is_empty() {
            state.waiting.remove(&keys.range);
        }
    }

    /// An attempt of this store asks for this name, until the value is dropped.
    pub fn asks<'a>(&'a self, keys: &'a Keys) -> Asking<'a> {
        let mut state = self.state();
        let state = &mut *state;
        let asking = state.asking.entry(keys.range.clone()).or_default();
        *asking += 1;
        Asking {
            is_alone: *asking == 1 && !state.waiting.contains_key(&keys.range),
            table: self,
            keys,
        }
    }

    /// Whether no other attempt of this store, that somebody polls, stands before this one, which is polled now.
    pub fn is_foremost(&self, keys: &Keys, created: i64, now: Instant) -> bool {
        let mut state = self.state();
        let Some(waiting) = state.waiting.get_mut(&keys.range) else {
            return true;
        };
        if let Some(polled) = waiting.get_mut(&created) {
            *polled = now;
        }
        let mut before = waiting.range(..created);
        before.all(|(_, polled)| now.since(*polled) >= STALE)
    }

    /// All, which are then forgotten.
    pub fn drain(&self) -> Vec<Arc<Candidate>> {
        let mut state = self.state();
        state.waiting.clear();
        std::mem::take(&mut state.candidates)
            .into_values()
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_polled_stands_before_nobody() {
        let (table, keys) = (
            Table::default(),
            Keys::new("lock/", &dlock_core::LockName::new("a").unwrap()),
        );
        let at = |seconds| Instant::ORIGIN + Duration::from_secs(seconds);
        for (created, seconds) in [(1, 0), (2, 1), (3, 2)] {
            table.waits(&keys, created, at(seconds));
        }
        assert!(table.is_foremost(&keys, 1, at(3)));
        assert!(!table.is_foremost(&keys, 3, at(3)));
        assert!(
            !table.is_foremost(&keys, 3, at(6)),
            "the first was polled 3 s ago"
        );
        assert!(table.is_foremost(&keys, 3, at(7)));
        assert!(
            !table.is_foremost(&keys, 2, at(4)),
            "the first is late by a second only"
        );
        table.waits_no_more(&keys, 1);
        assert!(table.is_foremost(&keys, 2, at(4)));
        assert!(
            !table.is_foremost(&keys, 3, at(7)),
            "it was polled just now"
        );
    }
}
