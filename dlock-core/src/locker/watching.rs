use std::sync::Arc;
use std::time::Duration;

use super::inner::Inner;
use crate::store::{Inspection, LockEvent, StoreError, Watch};
use crate::{Instant, LockName};

/// Events of one lock name; made by [`Locker::watch`](super::Locker::watch).
pub struct Watching {
    source: Source,
}

enum Source {
    Pushed(Box<dyn Watch>),
    Polled(Polled),
}

impl Watching {
    pub(super) fn new(inner: Arc<Inner>, name: LockName, pushed: Option<Box<dyn Watch>>) -> Self {
        let source = match pushed {
            Some(watch) => Source::Pushed(watch),
            None => Source::Polled(Polled {
                inner,
                name,
                known: None,
                ends_at: None,
                replaced_by: None,
            }),
        };
        Self { source }
    }

    /// The next event. An error when the store does not answer within the request timeout. The first event is `Locked` when the lock is held at the start. Cancel-safe.
    /// After an error, call it again to go on.
    pub async fn next(&mut self) -> Result<LockEvent, StoreError> {
        match &mut self.source {
            Source::Pushed(watch) => watch.next().await,
            Source::Polled(polled) => polled.next().await,
        }
    }
}

/// Asks the store again and again: for stores that cannot push. Turns shorter than the pause may
/// be missed; tokens show that something was.
struct Polled {
    inner: Arc<Inner>,
    name: LockName,
    known: Option<Inspection>,
    /// When the known holder's lease ends unless renewed.
    ends_at: Option<Instant>,
    /// A new holder whose `Locked` is still owed after the old one's end was told.
    replaced_by: Option<Inspection>,
}

impl Polled {
    async fn next(&mut self) -> Result<LockEvent, StoreError> {
        if let Some(new) = self.replaced_by.take() {
            return Ok(self.locked(new));
        }
        loop {
            let seen = self.inner.ask(self.inner.store.inspect(&self.name)).await?;
            let now = self.inner.runtime.now();
            match (&self.known, seen) {
                (None, Some(new)) => return Ok(self.locked(new)),
                (Some(old), Some(new)) if same_holder(old, &new) => {
                    self.ends_at = new.time_left.map(|left| now + left);
                }
                (Some(_), replaced_by) => {
                    self.known = None;
                    self.replaced_by = replaced_by;
                    let ran_out = self.ends_at.is_some_and(|end| now >= end);
                    return Ok(if ran_out {
                        LockEvent::Expired
                    } else {
                        LockEvent::Unlocked
                    });
                }
                (None, None) => {}
            }
            let jitter = Duration::from_millis(self.inner.runtime.random() % 100);
            self.inner
                .runtime
                .sleep(Duration::from_millis(450) + jitter)
                .await;
        }
    }

    fn locked(&mut self, new: Inspection) -> LockEvent {
        self.ends_at = new.time_left.map(|left| self.inner.runtime.now() + left);
        let event = LockEvent::Locked {
            label: new.label.clone(),
            token: new.token,
        };
        self.known = Some(new);
        event
    }
}

fn same_holder(old: &Inspection, new: &Inspection) -> bool {
    (&old.label, old.token) == (&new.label, new.token)
}
