use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use dlock_core::runtime::Runtime;

use crate::support::{Call, Fault, MS, World};

/// Polls `future` at most `polls` times, then drops it. `true`: it ended by itself.
async fn polled(future: impl Future, polls: u32) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(cx).map(|_| true)
    })
    .await
}

/// `cancelled-acquire`: dropped at every await point in turn.
#[tokio::test(start_paused = true)]
async fn r4_an_acquire_dropped_at_any_await_point_leaves_nothing() {
    let mut cancelled = 0;
    for held_by_other in [false, true] {
        for polls in 0.. {
            let world = World::new();
            world.faulty.everything(Fault::SlowReply(3 * MS));
            if held_by_other {
                let other = world.other().lock("a").acquire().await.unwrap();
                let runtime = world.runtime.clone();
                tokio::spawn(async move {
                    runtime.sleep(10 * MS).await;
                    drop(other);
                });
            }
            let locker = world.locker();
            if polled(locker.lock("a").acquire(), polls).await {
                break;
            }
            cancelled += 1;
            world.pass(20 * MS).await;
            assert!(!world.is_held("a").await, "dropped after {polls} polls");
            // Nobody's entry blocks the queue either.
            let next = world.other().lock("a").wait(MS).acquire().await;
            assert!(
                next.is_ok(),
                "dropped after {polls} polls, held by another: {held_by_other}"
            );
        }
    }
    assert!(cancelled >= 6, "only {cancelled} await points were met");
}

/// `cancelled-release`: still released.
#[tokio::test(start_paused = true)]
async fn r4_a_release_dropped_at_any_await_point_still_releases() {
    let mut cancelled = 0;
    for polls in 0.. {
        let world = World::new();
        world
            .faulty
            .always(Call::Release, Fault::SlowRequest(3 * MS));
        let guard = world.locker().lock("a").acquire().await.unwrap();
        if polled(guard.release(), polls).await {
            break;
        }
        cancelled += 1;
        world.pass(20 * MS).await;
        assert!(!world.is_held("a").await, "dropped after {polls} polls");
    }
    assert!(cancelled >= 2, "only {cancelled} await points were met");
}

#[tokio::test(start_paused = true)]
async fn r4_a_cancelled_waiter_blocks_nobody() {
    let world = World::new();
    let holder = world.other().lock("a").acquire().await.unwrap();
    let (locker, other) = (world.locker(), world.other());
    assert!(!polled(locker.lock("a").acquire(), 3).await);
    world.settle().await;
    assert_eq!(world.waiters("a").await, 0);
    holder.release().await.unwrap();
    let _next = other.lock("a").wait(MS).acquire().await.unwrap();
}
