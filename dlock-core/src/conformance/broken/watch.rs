//! Flaws of a watch.

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{BrokenStore, Flaw};
use crate::LockName;
use crate::store::{LockEvent, LockStore, StoreError, Watch};

impl BrokenStore {
    pub(super) async fn watch_name(
        &self,
        name: &LockName,
    ) -> Result<Option<Box<dyn Watch>>, StoreError> {
        if self.is(Flaw::WatchSeesAllNames) {
            return Ok(Some(Box::new(AllNames(self.core.events.subscribe()))));
        }
        let held_at_start = self.core.inner.inspect(name).await?.is_some();
        let Some(right) = self.core.inner.watch(name).await? else {
            return Ok(None);
        };
        let client = self.another_client();
        let skip_first = held_at_start && self.is(Flaw::WatchForgetsTheStart);
        Ok(Some(Box::new(BrokenWatch {
            store: client,
            name: name.clone(),
            right,
            skip_first,
        })))
    }
}

/// Shows other events than those that happen.
struct BrokenWatch {
    store: BrokenStore,
    name: LockName,
    right: Box<dyn Watch>,
    skip_first: bool,
}

#[async_trait]
impl Watch for BrokenWatch {
    async fn next(&mut self) -> Result<LockEvent, StoreError> {
        loop {
            let event = self.right.next().await?;
            if std::mem::take(&mut self.skip_first) {
                continue;
            }
            match (self.store.flaw(), event) {
                (Flaw::WatchMissesUnlock, LockEvent::Unlocked) => {}
                (Flaw::WatchMistakesExpiry, LockEvent::Expired) => return Ok(LockEvent::Unlocked),
                (_, LockEvent::Locked { label, token }) => {
                    let token = token.map(|token| self.store.shown_as(&self.name, token));
                    return Ok(LockEvent::Locked { label, token });
                }
                (_, event) => return Ok(event),
            }
        }
    }
}

struct AllNames(broadcast::Receiver<LockEvent>);

#[async_trait]
impl Watch for AllNames {
    async fn next(&mut self) -> Result<LockEvent, StoreError> {
        self.0
            .recv()
            .await
            .map_err(|error| StoreError::unavailable(error.to_string()))
    }
}
