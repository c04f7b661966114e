use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::Runtime;
use crate::Instant;

/// R9: the longest sleep before the clock is looked at again. Timers stand still while the machine
/// is suspended; the clock does not.
const LONGEST_NAP: Duration = Duration::from_secs(1);

/// Sleeps until the runtime's clock has reached `until`; for ever when that is
/// [`Instant::FAR_FUTURE`].
pub async fn sleep_until(runtime: &dyn Runtime, until: Instant) {
    if until == Instant::FAR_FUTURE {
        return std::future::pending().await;
    }
    loop {
        let left = until.since(runtime.now());
        if left.is_zero() {
            return;
        }
        runtime.sleep(left.min(LONGEST_NAP)).await;
    }
}

/// The time given to [`timeout`] is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// Runs `future` until the runtime's clock reaches `until`; then drops it. A future that is ready
/// at its first poll wins even when the time is over.
pub async fn timeout<F: Future>(
    runtime: &dyn Runtime,
    until: Instant,
    future: F,
) -> Result<F::Output, Elapsed> {
    match race(future, sleep_until(runtime, until)).await {
        Race::First(output) => Ok(output),
        Race::Second(()) => Err(Elapsed),
    }
}

/// Which future of a [`race`] was ready.
#[derive(Debug)]
pub enum Race<A, B> {
    /// The first.
    First(A),
    /// The second.
    Second(B),
}

/// Polls two futures, always the first one first, until one is ready; drops the other. In place of
/// `tokio::select!`, whose branch order is random (and stays so under a fixed seed).
pub async fn race<A: Future, B: Future>(first: A, second: B) -> Race<A::Output, B::Output> {
    let mut first = pin!(first);
    let mut second = pin!(second);
    poll_fn(|cx| {
        if let Poll::Ready(output) = first.as_mut().poll(cx) {
            return Poll::Ready(Race::First(output));
        }
        second.as_mut().poll(cx).map(Race::Second)
    })
    .await
}
