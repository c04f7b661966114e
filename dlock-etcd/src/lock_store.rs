use async_trait::async_trait;
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Inspection, LockStore, Release, Released, Renewal,
    Renewed, StoreError, Watch,
};
use dlock_core::{FencingToken, LockName};
use std::time::Duration;

use crate::EtcdStore;
use crate::capabilities::CAPABILITIES;
use crate::recipe;
use crate::watch::Events;

#[async_trait]
impl LockStore for EtcdStore {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        self.inner.attempt(request).await
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        let renewals = batch.iter().map(|renewal| self.inner.renew(renewal));
        futures_util::future::join_all(renewals).await
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        self.inner.release(name, release).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        let keys = self.inner.keys(name);
        let (first, count) = recipe::first(&self.inner.members, &keys).await?;
        // The first in the queue holds nothing before it has asked.
        let Some(holder) = first.filter(|entry| !entry.owner.waits()) else {
            return Ok(None);
        };
        let mut seen = Inspection::default();
        seen.label = holder.owner.label();
        seen.token = u64::try_from(holder.created)
            .ok()
            .and_then(FencingToken::new);
        seen.waiters = Some(count.saturating_sub(1));
        if holder.lease == 0 {
            // Put by hand: it has no end.
            return Ok(Some(seen));
        }
        let Some((granted, left)) = self.inner.time_to_live(holder.lease).await? else {
            return Ok(None);
        };
        // etcd cuts off what is less than a second.
        seen.time_left = Some((left + Duration::from_secs(1)).min(granted));
        Ok(Some(seen))
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        let keys = self.inner.keys(name);
        let (first, _) = recipe::first(&self.inner.members, &keys).await?;
        let Some(holder) = first.filter(|entry| !entry.owner.waits()) else {
            return Ok(false);
        };
        // Only this holder: if it goes meanwhile, the lock was free.
        Ok(recipe::leave(&self.inner.members, &holder.key, Some(holder.created)).await?)
    }

    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        Ok(Some(Box::new(Events::new(self.inner.clone(), name))))
    }

    async fn close(&self) {
        self.inner.pool.close().await;
        self.inner.hub.close();
        self.inner.keepalives.close();
    }
}
