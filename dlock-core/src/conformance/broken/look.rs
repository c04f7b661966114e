//! Flaws of an inspection and of a forced release.

use super::{BrokenStore, Flaw};
use crate::store::{Inspection, LockEvent, LockStore, StoreError};
use crate::{Instant, LockName};

impl BrokenStore {
    pub(super) fn seen(&self, name: &LockName, seen: Option<Inspection>) -> Option<Inspection> {
        let now = self.core.runtime.now();
        let mut notes = self.core.notes();
        let known = notes.name(name);
        let Some(mut seen) = seen else {
            return known
                .seen
                .clone()
                .filter(|_| self.is(Flaw::InspectShowsTheDead));
        };
        known.seen = Some(seen.clone());
        match self.core.flaw {
            Flaw::TimeLeftDoubled => seen.time_left = seen.time_left.map(|left| left * 2),
            Flaw::NoExpiry => seen.time_left = None,
            Flaw::WaitersMiscounted => seen.waiters = Some(0),
            _ => {}
        }
        let ends_at = known.ends_at.unwrap_or(Instant::FAR_FUTURE);
        seen.time_left = seen.time_left.map(|left| left.min(ends_at.since(now)));
        seen.waiters = seen
            .waiters
            .map(|waiters| waiters + known.queue.len() as u64);
        drop(notes);
        seen.token = seen.token.map(|token| self.shown_as(name, token));
        Some(seen)
    }

    pub(super) async fn take_away(&self, name: &LockName) -> Result<bool, StoreError> {
        if self.is(Flaw::ForcedReleaseDoesNothing) {
            return Ok(self.core.inner.inspect(name).await?.is_some());
        }
        if self.is(Flaw::ForcedReleaseTakesPrefix) {
            let names: Vec<LockName> = self.core.notes().names.keys().cloned().collect();
            for other in names
                .iter()
                .filter(|other| other.as_str().starts_with(name.as_str()))
            {
                self.core.inner.force_release(other).await?;
            }
            return Ok(true);
        }
        let found = self.core.inner.force_release(name).await?;
        let mut notes = self.core.notes();
        notes.released(name);
        if self.is(Flaw::TokensStartAnew) {
            notes.name(name).counters.clear();
        }
        drop(notes);
        if found {
            let _ = self.core.events.send(LockEvent::Unlocked);
        }
        Ok(found || self.is(Flaw::ForcedReleaseClaimsHolder))
    }
}
