//! Flaws of order: a queue of our own before the memory store, which is only ever tried.

use super::place::BrokenPlace;
use super::{BrokenStore, Flaw};
use crate::store::{Attempt, AttemptRequest, LockStore, Mode, StoreError};

impl BrokenStore {
    pub(super) async fn queue_up(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let held = self.core.inner.inspect(&request.name).await?.is_some();
        let answer = if held || self.is_next(request) {
            self.core
                .inner
                .attempt(&AttemptRequest {
                    mode: Mode::Try,
                    ..request.clone()
                })
                .await?
        } else {
            Attempt::Busy {
                held_by: Default::default(),
                place: None,
            }
        };
        let mut notes = self.core.notes();
        let queue = &mut notes.name(&request.name).queue;
        match answer {
            Attempt::Busy { held_by, .. } if request.mode == Mode::Queue => {
                if !queue.contains(&request.id) {
                    queue.push_back(request.id);
                }
                Ok(Attempt::Busy {
                    held_by,
                    place: Some(BrokenPlace::until_free(self.core.clone(), request)),
                })
            }
            Attempt::Granted(_) => {
                queue.retain(|queued| *queued != request.id);
                Ok(answer)
            }
            _ => Ok(answer),
        }
    }

    /// Who may take the free lock.
    fn is_next(&self, request: &AttemptRequest) -> bool {
        let mut notes = self.core.notes();
        let queue = &notes.name(&request.name).queue;
        let is = |next: Option<&crate::AttemptId>| next.is_none_or(|next| *next == request.id);
        match self.core.flaw {
            Flaw::QueueIgnored => true,
            Flaw::QueueLifo => is(queue.back()),
            Flaw::TryPassesTheQueue => request.mode == Mode::Try || is(queue.front()),
            _ => is(queue.front()),
        }
    }
}
