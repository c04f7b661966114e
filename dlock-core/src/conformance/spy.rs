use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::verdict::{Stop, Verdict};
use crate::LockName;
use crate::store::{
    Attempt, AttemptRequest, Capabilities, Inspection, LockStore, Release, Released, Renewal,
    Renewed, StoreError, Watch,
};

/// A store in between, which tells a case that the locker above it has been refused and waits now.
pub(super) struct Spy {
    store: Arc<dyn LockStore>,
    refusals: Semaphore,
}

impl Spy {
    pub(super) fn new(store: Arc<dyn LockStore>) -> Self {
        Self {
            store,
            refusals: Semaphore::new(0),
        }
    }

    /// Returns once for each refused attempt.
    pub(super) async fn refused(&self) -> Verdict {
        let refusal = self
            .refusals
            .acquire()
            .await
            .map_err(|error| Stop::error("spying", error))?;
        refusal.forget();
        Ok(())
    }
}

#[async_trait]
impl LockStore for Spy {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let answer = self.store.attempt(request).await;
        if matches!(answer, Ok(Attempt::Busy { .. })) {
            self.refusals.add_permits(1);
        }
        answer
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        self.store.renew(batch).await
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        self.store.release(name, release).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        self.store.inspect(name).await
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        self.store.force_release(name).await
    }

    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        self.store.watch(name).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
