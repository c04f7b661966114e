//! Flaws of a release.

use super::{BrokenStore, Flaw};
use crate::store::{LockStore, Release, Released, StoreError};
use crate::{AttemptId, LockName};

const REMOVED: Released = Released {
    removed: true,
    settled: true,
};
const NOTHING: Released = Released {
    removed: false,
    settled: true,
};

impl BrokenStore {
    pub(super) async fn try_release(
        &self,
        name: &LockName,
        release: &Release,
    ) -> Result<Released, StoreError> {
        let inner = &self.core.inner;
        let holder = self
            .holder(name)
            .await?
            .map(|noted| (noted.grant, noted.client));
        match (self.core.flaw, release) {
            (Flaw::ReleaseDoesNothing, _) => Ok(REMOVED),
            (Flaw::ReleaseClaimsRemoval, _) => {
                inner.release(name, release).await?;
                Ok(REMOVED)
            }
            (Flaw::ReleaseComparesNothing, _) => self.release_whatever(name, release).await,
            (Flaw::ReleaseEndsAll, _) => {
                let names: Vec<LockName> = self.core.notes().names.keys().cloned().collect();
                for other in names {
                    inner.force_release(&other).await?;
                }
                Ok(REMOVED)
            }
            (Flaw::ReleaseComparesIdOnly, Release::Grant(grant, trail)) => {
                inner
                    .release(name, &Release::Attempt(grant.id, trail.clone()))
                    .await
            }
            (Flaw::ReleaseComparesTokenOnly, Release::Grant(grant, _))
                if holder.is_some_and(|(held, _)| held.token == grant.token) =>
            {
                self.release_whatever(name, release).await
            }
            (Flaw::GrantBoundToClient, Release::Grant(grant, _))
                if holder.is_some_and(|(held, client)| held == *grant && client != self.client) =>
            {
                Ok(NOTHING)
            }
            (Flaw::ReleaseOfAttemptSparesGrant, Release::Attempt(id, _))
                if holder.is_some_and(|(held, _)| held.id == *id) =>
            {
                Ok(REMOVED)
            }
            (Flaw::ReservationKept, Release::Attempt(..))
                if inner.inspect(name).await?.is_none() =>
            {
                Ok(NOTHING)
            }
            (Flaw::ReleaseOfAttemptSparesEntry, Release::Attempt(id, _))
                if holder.is_none_or(|(held, _)| held.id != *id) =>
            {
                Ok(NOTHING)
            }
            (_, Release::Attempt(id, _)) if self.leave_queue(name, *id) => Ok(REMOVED),
            _ => inner.release(name, release).await,
        }
    }

    async fn release_whatever(
        &self,
        name: &LockName,
        release: &Release,
    ) -> Result<Released, StoreError> {
        let released = self.core.inner.release(name, release).await?;
        let removed = released.removed || self.core.inner.force_release(name).await?;
        Ok(Released {
            removed,
            ..released
        })
    }

    /// Of the queue of our own.
    fn leave_queue(&self, name: &LockName, id: AttemptId) -> bool {
        let mut notes = self.core.notes();
        let queue = &mut notes.name(name).queue;
        let at = queue.iter().position(|queued| *queued == id);
        at.and_then(|at| queue.remove(at)).is_some()
    }
}
