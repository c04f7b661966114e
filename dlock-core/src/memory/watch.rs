use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::Shared;
use crate::runtime::{Race, race, sleep_until};
use crate::store::{LockEvent, StoreError, Watch};
use crate::{Instant, LockName};

pub(super) struct MemoryWatch {
    shared: Arc<Shared>,
    name: LockName,
    events: broadcast::Receiver<LockEvent>,
    /// The holder at the start, not told yet.
    first: Option<LockEvent>,
}

impl MemoryWatch {
    pub(super) fn boxed(
        shared: Arc<Shared>,
        name: LockName,
        events: broadcast::Receiver<LockEvent>,
        first: Option<LockEvent>,
    ) -> Box<dyn Watch> {
        Box::new(Self {
            shared,
            name,
            events,
            first,
        })
    }
}

#[async_trait]
impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<LockEvent, StoreError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            // Looking settles the state: an expiry that nobody else noticed becomes an event.
            let expires_at = self.shared.at(&self.name, |entry, _, _| entry.expires_at());
            let until = expires_at.unwrap_or(Instant::FAR_FUTURE);
            match race(
                self.events.recv(),
                sleep_until(&*self.shared.runtime, until),
            )
            .await
            {
                Race::First(Ok(event)) => return Ok(event),
                // Too slow: what is left in the channel ends with the newest event.
                Race::First(Err(RecvError::Lagged(_))) => {}
                Race::First(Err(RecvError::Closed)) => {
                    return Err(StoreError::unavailable("the store is gone"));
                }
                Race::Second(()) => {}
            }
        }
    }
}
