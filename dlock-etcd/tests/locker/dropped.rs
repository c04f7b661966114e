//! R4, R13: many are dropped at once, guards and acquires, and nothing is left but a pool of leases.

use std::time::{Duration, Instant};

use dlock_core::Locker;
use futures_util::future::join_all;

use crate::acquire;
use crate::leftovers::{Etcd, close, keys};
use crate::support::PATIENCE;

const TTL: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_acquires_dropped_at_random_moments_leave_nothing() {
    let Some(etcd) = Etcd::start().await else {
        return;
    };
    let holding = etcd.lazy();
    let guard = acquire(&Locker::new(holding.clone()), "held", TTL).await;
    let store = etcd.lazy();
    let locker = Locker::new(store.clone());
    let mut random = Xorshift(0x5eed);
    // As long as it takes, a lease of its own included.
    let started = Instant::now();
    for number in 0..20 {
        drop(acquire(&locker, &format!("warm-{number}"), TTL).await);
    }
    let usual = started.elapsed() / 20;
    let (mut cut, mut tried) = (0, 0);
    while cut < 300 {
        assert!(
            tried < 3000,
            "only {cut} of {tried} acquires were cut in time"
        );
        // One in three queues.
        let name = match tried % 3 {
            0 => "held".to_owned(),
            _ => format!("free-{tried}"),
        };
        let acquiring = tokio::spawn(locker.lock(name).ttl(TTL).acquire());
        let moment = Instant::now() + usual.mul_f64(1.5 * random.share());
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        acquiring.abort();
        match acquiring.await {
            Ok(guard) => drop(guard),
            Err(_) => cut += 1,
        }
        tried += 1;
    }
    let dropped_at = Instant::now();
    etcd.until_clean("random moments", 1, &[&store, &holding])
        .await;
    println!(
        "{cut} of {tried} acquires were cut (an acquire takes {usual:?}); nothing left {:?} later, {} idle leases",
        dropped_at.elapsed(),
        store.idle_leases()
    );
    guard.check().unwrap();
    close(locker).await;
    assert_eq!(etcd.leases().await, 1);
}

/// The same moments in every run, as far as the machine has a say in it.
struct Xorshift(u64);

impl Xorshift {
    /// From 0 to below 1.
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// However many were held at once, at most 128 leases are kept for the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_dropped_guards_leave_nothing_but_a_pool() {
    let Some(etcd) = Etcd::start().await else {
        return;
    };
    let store = etcd.lazy();
    let locker = Locker::new(store.clone());
    let acquiring = (0..300).map(|number| {
        let (locker, name) = (locker.clone(), format!("a{number}"));
        async move { acquire(&locker, &name, TTL).await }
    });
    let started = Instant::now();
    let guards = join_all(acquiring).await;
    let acquired_in = started.elapsed();
    assert_eq!((etcd.keys().await.len(), etcd.leases().await), (300, 300));
    assert_eq!(store.idle_leases(), 0);

    let dropped_at = Instant::now();
    drop(guards);
    etcd.until_clean("dropped guards", 0, &[&store]).await;
    let gone_in = dropped_at.elapsed();
    assert_eq!(store.idle_leases(), 128);
    let closed_at = Instant::now();
    close(locker).await;
    assert_eq!((etcd.leases().await, store.idle_leases()), (0, 0));
    println!(
        "300 guards, acquired in {acquired_in:?}, were dropped; nothing but 128 idle leases {gone_in:?} later; \
         closed in {:?}",
        closed_at.elapsed()
    );
}

/// Those who give up waiting leave no trace either, and keep nobody waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_waiters_that_give_up_leave_nothing() {
    let Some(etcd) = Etcd::start().await else {
        return;
    };
    let (holding, waiting) = (etcd.lazy(), etcd.lazy());
    let (holder, waiters) = (Locker::new(holding.clone()), Locker::new(waiting.clone()));
    let guard = acquire(&holder, "a", TTL).await;
    let dropped = (0..50).map(|_| tokio::spawn(waiters.lock("a").ttl(TTL).acquire()));
    let dropped: Vec<_> = dropped.collect();
    let last = tokio::spawn(waiters.lock("a").ttl(TTL).wait(PATIENCE).acquire());
    while keys(&etcd.client, "lock/a/").await.len() < 52 {}
    let dropped_at = Instant::now();
    dropped.iter().for_each(|one| one.abort());
    while keys(&etcd.client, "lock/a/").await.len() > 2 {}
    println!(
        "50 waiters dropped; no entry of theirs {:?} later",
        dropped_at.elapsed()
    );
    guard.release().await.unwrap();
    last.await.unwrap().unwrap().release().await.unwrap();
    etcd.until_clean("waiters", 0, &[&holding, &waiting]).await;
    for locker in [holder, waiters] {
        close(locker).await;
    }
    assert_eq!(etcd.leases().await, 0);
}
