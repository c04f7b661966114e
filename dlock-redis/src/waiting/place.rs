use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use dlock_core::AttemptId;
use dlock_core::runtime::{race, sleep_until};
use dlock_core::store::Place;
use tokio::sync::Notify;

use super::Waiting;

/// A place in a line.
pub(super) struct RedisPlace {
    waiting: Arc<Waiting>,
    lock: String,
    id: AttemptId,
    wakeup: Arc<Notify>,
}

impl RedisPlace {
    pub fn new(waiting: Arc<Waiting>, lock: String, id: AttemptId, wakeup: Arc<Notify>) -> Self {
        Self {
            waiting,
            lock,
            id,
            wakeup,
        }
    }
}

#[async_trait]
impl Place for RedisPlace {
    async fn wait(&mut self) {
        while let Some(due) = self.waiting.due(&self.lock, self.id)
            && self.waiting.runtime.now() < due
        {
            race(
                self.wakeup.notified(),
                sleep_until(&*self.waiting.runtime, due),
            )
            .await;
        }
    }
}

impl fmt::Debug for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPlace")
            .field("lock", &self.lock)
            .field("id", &self.id)
            .finish()
    }
}
