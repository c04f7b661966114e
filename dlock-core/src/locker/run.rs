use std::pin::pin;

use super::builder::LockBuilder;
use super::lease::Lease;
use crate::error::{LeaseError, LossCause, RunError};
use crate::runtime::{Race, race};
use crate::error::Ended;

impl LockBuilder {
    /// Acquires the lock, runs the body, and releases after it (R12).
    ///
    /// The lease is renewed while the body runs. On a loss the body is dropped at its next await
    /// point, before anything is released. What the body itself spawned is not cancelled: give such
    /// tasks the [`Lease`] and let them `check()`. The body is polled in place: it need not be
    /// `Send`. Dropping the future drops the body first and releases then.
    pub async fn run<T, E>(self, body: impl AsyncFnOnce(Lease) -> Result<T, E>) -> Result<T, RunError<E>> {
        let guard = self.acquire().await?;
        // Declared after the guard: also when this future is dropped, the body goes first (R12).
        let outcome = {
            let body = pin!(body(guard.lease()));
            race(body, guard.ended()).await
        };
        let cause = match outcome {
            Race::First(Err(error)) => {
                let _ = guard.release().await;
                return Err(RunError::Body(error));
            }
            Race::First(Ok(value)) => {
                let name = guard.name().clone();
                return match guard.release().await {
                    Err(LeaseError::Lost { cause, .. }) => Err(RunError::Lost { name, cause }),
                    // The lock was ours to the end of the body; its release goes on in the background.
                    _ => Ok(value),
                };
            }
            Race::Second(Ended::Lost(cause)) => cause,
            // Nobody else can release it; if it happened, the lock is not ours all the same.
            Race::Second(Ended::Released) => LossCause::NotOwner,
        };
        Err(RunError::Lost { name: guard.name().clone(), cause })
    }
}
