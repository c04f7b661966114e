use std::sync::Arc;

use dlock_core::store::{Release, Released, StoreError};
use dlock_core::{AttemptId, FencingToken, LockName};

use crate::candidate::Candidate;
use crate::failure::Failure;
use crate::inner::Inner;
use crate::keys::Keys;
use crate::recipe;

const NOTHING: Released = Released {
    removed: false,
    settled: true,
};

impl Inner {
    pub async fn release(
        &self,
        name: &LockName,
        release: &Release,
    ) -> Result<Released, StoreError> {
        let (id, token) = match release {
            Release::Grant(grant, _) => (grant.id, Some(grant.token)),
            Release::Attempt(id, _) => (*id, None),
        };
        let keys = self.keys(name);
        if let Some(candidate) = self.table.find(id, &keys) {
            let _one = candidate.ending.lock().await;
            // Another release may have ended it meanwhile.
            if self.table.has(&candidate) {
                return Ok(self.end(&candidate, token).await?);
            }
        }
        Ok(self.end_elsewhere(&keys, id, token).await?)
    }

    async fn end(
        &self,
        candidate: &Arc<Candidate>,
        token: Option<FencingToken>,
    ) -> Result<Released, Failure> {
        let created = candidate.created();
        if token.is_some_and(|token| i64::try_from(token.value()) != Ok(created)) {
            // R2: an older grant of the same attempt, which is over.
            return Ok(NOTHING);
        }
        let remains = candidate.end();
        self.table.waits_no_more(&candidate.keys, created);
        for lease in &remains.leases {
            self.pool.leave_alone(lease);
        }
        let removed = if remains.key.is_empty() {
            false
        } else {
            let sending = candidate.sending();
            let only = (created > 0).then_some(created);
            let removed = recipe::leave(&self.members, &remains.key, only).await?;
            sending.answered();
            removed
        };
        if remains.in_doubt {
            // R3: what was sent and not answered can come true only with one of these.
            for lease in &remains.leases {
                self.pool.revoke(lease).await?;
            }
        } else if removed || remains.key.is_empty() {
            for lease in remains.leases {
                self.pool.give_back(lease);
            }
        } else {
            // It had ended, or was taken away.
            for lease in &remains.leases {
                self.pool.retire(lease);
            }
        }
        self.table.remove(candidate);
        Ok(Released {
            removed,
            settled: true,
        })
    }

    /// An attempt of another process, or one that has ended here.
    async fn end_elsewhere(
        &self,
        keys: &Keys,
        id: AttemptId,
        token: Option<FencingToken>,
    ) -> Result<Released, Failure> {
        let entries = recipe::everybody(&self.members, keys).await?;
        let ours = entries.iter().find(|entry| {
            let same = |token: FencingToken| i64::try_from(token.value()) == Ok(entry.created);
            entry.owner.id() == Some(id) && token.is_none_or(same)
        });
        let Some(entry) = ours else {
            return Ok(NOTHING);
        };
        let removed = recipe::leave(&self.members, &entry.key, Some(entry.created)).await?;
        Ok(Released {
            removed,
            settled: true,
        })
    }
}
