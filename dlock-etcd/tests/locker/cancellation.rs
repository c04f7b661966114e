//! R4: an acquire is dropped at every point of its way in turn, and no entry stays in the queue, and no
//! lease but those in the pool.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use dlock_core::Locker;
use dlock_etcd::EtcdStore;

use crate::acquire;
use crate::leftovers::{Etcd, close, keys};

/// So long that an acquire has come as far as it can.
const LONG: Duration = Duration::from_secs(1);

const TTL: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq, Eq)]
enum Polled {
    /// It ended by itself.
    Ended,
    Dropped,
    /// It would have been polled more often.
    Quiet,
}

/// When the last poll is over, a request may be on its way; when the future would be polled again, an
/// answer has come that it has not seen.
const BOTH: [Cut; 2] = [Cut::AfterThePoll, Cut::BeforeTheNext];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    AfterThePoll,
    BeforeTheNext,
}

/// Polls `future` at most `polls` times, then drops it.
async fn polled(future: impl Future, polls: u32, cut: Cut) -> Polled {
    let mut future = pin!(future);
    let mut left = polls;
    let polling = poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(Polled::Dropped);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(Polled::Ended),
            Poll::Pending if left == 0 && cut == Cut::AfterThePoll => Poll::Ready(Polled::Dropped),
            Poll::Pending => Poll::Pending,
        }
    });
    let polled = tokio::time::timeout(LONG, polling).await;
    polled.unwrap_or(Polled::Quiet)
}

/// A store that has connected and has a lease to spare, or one that has done nothing yet.
async fn store(etcd: &Etcd, warm: bool) -> EtcdStore {
    let store = etcd.lazy();
    if warm {
        let locker = Locker::new(store.clone());
        acquire(&locker, "warm", TTL).await.release().await.unwrap();
        assert_eq!(store.idle_leases(), 1);
    }
    store
}

/// Tries one number of polls after the other, until a future is not dropped any more. Returns how many
/// were.
async fn at_every_point(mut one: impl AsyncFnMut(String, u32, Cut) -> Polled) -> usize {
    let mut points = 0;
    for cut in BOTH {
        for polls in 0.. {
            if one(format!("{polls} polls, {cut:?}"), polls, cut).await != Polled::Dropped {
                break;
            }
            points += 1;
        }
    }
    points
}

#[tokio::test]
async fn an_acquire_of_a_free_lock_leaves_nothing_wherever_it_is_dropped() {
    let Some(etcd) = Etcd::start().await else {
        return;
    };
    for warm in [false, true] {
        let points = at_every_point(async |what, polls, cut| {
            let store = store(&etcd, warm).await;
            let locker = Locker::new(store.clone());
            let polled = polled(locker.lock("a").acquire(), polls, cut).await;
            etcd.until_clean(&what, 0, &[&store]).await;
            close(locker).await;
            assert_eq!(etcd.leases().await, 0, "{what}, closed");
            polled
        })
        .await;
        println!("a free lock, warm: {warm}: dropped at {points} points, nothing left");
        assert!(points >= 4);
    }
}

#[tokio::test]
async fn an_acquire_of_a_held_lock_leaves_nothing_wherever_it_is_dropped() {
    let Some(etcd) = Etcd::start().await else {
        return;
    };
    let holding = etcd.lazy();
    let guard = acquire(&Locker::new(holding.clone()), "a", TTL).await;
    for warm in [false, true] {
        let points = at_every_point(async |what, polls, cut| {
            let store = store(&etcd, warm).await;
            let locker = Locker::new(store.clone());
            let polled = polled(locker.lock("a").acquire(), polls, cut).await;
            assert_ne!(polled, Polled::Ended);
            etcd.until_clean(&what, 1, &[&store, &holding]).await;
            close(locker).await;
            assert_eq!(etcd.leases().await, 1, "{what}, closed");
            polled
        })
        .await;
        println!("a held lock, warm: {warm}: dropped at {points} points, nothing left");
        assert!(points >= 8);
    }
    guard.check().unwrap();
}

/// The holder releases as soon as the acquire stands in the queue.
#[tokio::test]
async fn an_acquire_leaves_nothing_wherever_in_a_hand_over_it_is_dropped() {
    let Some(etcd) = Etcd::start().await else {
        return;
    };
    let holding = etcd.lazy();
    let holder = Locker::new(holding.clone());
    let points = at_every_point(async |what, polls, cut| {
        let guard = acquire(&holder, "a", TTL).await;
        let client = etcd.client.clone();
        let releasing = tokio::spawn(async move {
            while keys(&client, "lock/a/").await.len() < 2 {}
            guard.release().await.unwrap();
        });
        let store = store(&etcd, true).await;
        let locker = Locker::new(store.clone());
        let polled = polled(locker.lock("a").acquire(), polls, cut).await;
        // If it was never queued, the guard is dropped.
        releasing.abort();
        etcd.until_clean(&what, 0, &[&store, &holding]).await;
        close(locker).await;
        polled
    })
    .await;
    println!("a hand-over: dropped at {points} points, nothing left");
    assert!(points >= 8);
    close(holder).await;
    assert_eq!(etcd.leases().await, 0);
}

/// R13: what is done last in `main`. Nobody waits for anything but `close()`.
#[tokio::test]
async fn close_leaves_nothing_of_what_was_dropped_just_before() {
    let Some(etcd) = Etcd::start().await else {
        return;
    };
    let holding = etcd.lazy();
    let guard = acquire(&Locker::new(holding), "held", TTL).await;
    for (name, warm) in [
        ("free", false),
        ("free", true),
        ("held", false),
        ("held", true),
    ] {
        let points = at_every_point(async |what, polls, cut| {
            let locker = Locker::new(store(&etcd, warm).await);
            let polled = polled(locker.lock(name).acquire(), polls, cut).await;
            close(locker).await;
            let left = (etcd.keys().await.len(), etcd.leases().await);
            assert_eq!(left, (1, 1), "{what}, a {name} lock, warm: {warm}");
            polled
        })
        .await;
        println!(
            "a {name} lock, warm: {warm}: dropped at {points} points, nothing left by close()"
        );
        assert!(points >= 4);
    }
    guard.check().unwrap();
}
