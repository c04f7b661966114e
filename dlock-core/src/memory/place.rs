use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::Shared;
use super::name_state::Turn;
use crate::runtime::{race, sleep_until};
use crate::store::{AttemptRequest, Place};
use crate::{AttemptId, LockName};

/// A place in the queue of one name.
pub(super) struct MemoryPlace {
    shared: Arc<Shared>,
    name: LockName,
    id: AttemptId,
    wakeup: Arc<Notify>,
}

impl MemoryPlace {
    pub(super) fn boxed(
        shared: Arc<Shared>,
        request: &AttemptRequest,
        wakeup: Arc<Notify>,
    ) -> Box<dyn Place> {
        Box::new(Self {
            shared,
            name: request.name.clone(),
            id: request.id,
            wakeup,
        })
    }
}

#[async_trait]
impl Place for MemoryPlace {
    async fn wait(&mut self) {
        loop {
            let turn = self
                .shared
                .at(&self.name, |entry, _, _| entry.turn(self.id));
            let Turn::NotBefore(instant) = turn else {
                return;
            };
            race(
                self.wakeup.notified(),
                sleep_until(&*self.shared.runtime, instant),
            )
            .await;
        }
    }
}

impl fmt::Debug for MemoryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPlace")
            .field("name", &self.name)
            .field("id", &self.id)
            .finish()
    }
}
