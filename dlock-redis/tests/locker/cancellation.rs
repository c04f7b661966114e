//! R4, R13: whatever is dropped, and wherever, nothing stays held. The published Rust crates leave
//! up to all of these keys behind.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use dlock_core::Locker;
use dlock_redis::RedisStore;
use dlock_redis::redis::aio::MultiplexedConnection;

use crate::support::{raw, redis, send, skip, unique};
use crate::{locker, until_none};

async fn lock_keys(connection: &MultiplexedConnection, prefix: &str) -> Vec<String> {
    send(connection, &["KEYS", &format!("{prefix}*")]).await
}

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

async fn prefixed(url: &str, prefix: &str) -> Locker {
    Locker::new(
        RedisStore::builder()
            .url(url)
            .prefix(prefix)
            .connect()
            .await
            .unwrap(),
    )
}

#[tokio::test]
async fn an_acquire_dropped_at_every_await_point_leaves_nothing() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let connection = raw(&url).await;
    for cold in [false, true] {
        let mut points = 0;
        for polls in 0.. {
            let prefix = unique("points") + ":";
            // A cold locker has to connect first: more await points.
            let locker = match cold {
                true => Locker::new(
                    RedisStore::builder()
                        .url(&url)
                        .prefix(&prefix)
                        .lazy()
                        .unwrap(),
                ),
                false => prefixed(&url, &prefix).await,
            };
            if polled(locker.lock("a").acquire(), polls).await {
                break;
            }
            points += 1;
            assert_eq!(locker.close().await.unfinished, 0);
            assert_eq!(
                lock_keys(&connection, &prefix).await,
                [""; 0],
                "dropped after {polls} polls"
            );
        }
        println!("cold: {cold}: dropped at {points} await points, no key left");
        assert!(points >= 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_acquires_dropped_at_random_moments_leave_nothing() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let connection = raw(&url).await;
    let prefix = unique("random") + ":";
    let locker = prefixed(&url, &prefix).await;
    let (mut cut, mut tried) = (0, 0u64);
    while cut < 300 {
        assert!(
            tried < 30_000,
            "only {cut} of {tried} acquires were cut in time"
        );
        let acquire = tokio::spawn(locker.lock(format!("a{tried}")).acquire());
        // Spread over the time that an acquire takes: a round trip of some 100 µs.
        let moment = Instant::now() + Duration::from_micros(tried * 7919 % 300);
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        acquire.abort();
        match acquire.await {
            Ok(guard) => drop(guard),
            Err(_) => cut += 1,
        }
        tried += 1;
    }
    let dropped_at = Instant::now();
    until_none("keys left", async || lock_keys(&connection, &prefix).await).await;
    println!(
        "{cut} of {tried} acquires were cut; no lock key {:?} later",
        dropped_at.elapsed()
    );
}

#[tokio::test]
async fn three_hundred_dropped_guards_leave_nothing_but_counters() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let connection = raw(&url).await;
    let prefix = unique("guards") + ":";
    let locker = prefixed(&url, &prefix).await;
    let mut guards = Vec::new();
    for number in 0..300 {
        guards.push(locker.lock(format!("a{number}")).acquire().await.unwrap());
    }
    assert_eq!(lock_keys(&connection, &prefix).await.len(), 300);
    let dropped_at = Instant::now();
    drop(guards);
    until_none("keys left", async || lock_keys(&connection, &prefix).await).await;
    println!(
        "300 guards dropped; no lock key {:?} later",
        dropped_at.elapsed()
    );
    let counters: Vec<String> = send(&connection, &["KEYS", &format!("{{{prefix}*")]).await;
    assert_eq!(
        counters.len(),
        300,
        "a counter for each name, and nothing else"
    );
    assert!(
        counters.iter().all(|key| key.contains("}dlock:counter:")),
        "{counters:?}"
    );
}

/// Waiters that give up leave no trace either.
#[tokio::test]
async fn cancelled_waiters_leave_nothing() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let (holding, waiting) = (locker(&url).await, locker(&url).await);
    let name = unique("waiters");
    let guard = holding.lock(&name).acquire().await.unwrap();
    for _ in 0..50 {
        let waiter = waiting.lock(&name).acquire();
        assert!(
            tokio::time::timeout(Duration::from_millis(2), waiter)
                .await
                .is_err()
        );
    }
    guard.release().await.unwrap();
    assert!(waiting.lock(&name).try_acquire().await.unwrap().is_some());
}
