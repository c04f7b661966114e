use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::builder::LockBuilder;
use super::lease::Lease;
use crate::error::{LeaseError, LossCause, RunError};

impl LockBuilder {
    /// Acquires the lock, runs the body, and releases after it (R12).
    ///
    /// The lease is renewed while the body runs, and looked at before each step of it: once it is
    /// lost, the body is dropped instead of polled, and nothing is released before that. What the
    /// body itself spawned is not cancelled: give such tasks the [`Lease`] and let them `check()`.
    /// The body is polled in place: it need not be `Send`. Dropping the future drops the body first
    /// and releases then.
    pub async fn run<T, E>(
        self,
        body: impl AsyncFnOnce(Lease) -> Result<T, E>,
    ) -> Result<T, RunError<E>> {
        let guard = self.acquire().await?;
        // R12: a loss does not release under a body that runs, or stands still, elsewhere.
        guard.shared.held.cell.leave_cleanup_to_guard();
        // The body is declared after the guard: also when this future is dropped, it goes first.
        let outcome = {
            let mut body = pin!(body(guard.lease()));
            let mut ended = pin!(guard.ended());
            poll_fn(|cx| {
                // R7: a process that was frozen past its deadline knows before it goes on.
                if guard.check().is_err() {
                    return Poll::Ready(None);
                }
                if let Poll::Ready(result) = body.as_mut().poll(cx) {
                    return Poll::Ready(Some(result));
                }
                ended.as_mut().poll(cx).map(|_| None)
            })
            .await
        };
        let name = guard.name().clone();
        match outcome {
            Some(Err(error)) => {
                let _ = guard.release().await;
                Err(RunError::Body(error))
            }
            Some(Ok(value)) => match guard.release().await {
                Err(LeaseError::Lost { cause, .. }) => Err(RunError::Lost { name, cause }),
                // As far as anybody can tell it was ours to the end of the body; whether a release
                // without an answer found it so is not known.
                _ => Ok(value),
            },
            None => match guard.check() {
                Err(LeaseError::Lost { cause, .. }) => Err(RunError::Lost { name, cause }),
                // Nobody else can release it; if it happened, the lock is not ours all the same.
                _ => Err(RunError::Lost {
                    name,
                    cause: LossCause::NotOwner,
                }),
            },
        }
    }
}
