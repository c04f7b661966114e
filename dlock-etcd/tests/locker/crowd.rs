//! Very many who wait for one lock.

use std::time::Duration;

use dlock_core::Locker;
use dlock_etcd::EtcdStore;

use crate::acquire;
use crate::support::{Member, PATIENCE, entries, etcd, metric, raw, unique, until, within};

const CROWD: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_gets_its_turns_and_a_release_wakes_few() {
    let Some(member) = Member::start() else {
        return;
    };
    let endpoint = member.endpoint();
    let holder = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let guard = holder.lock("crowd").acquire().await.unwrap();
    let lockers = [
        Locker::new(EtcdStore::connect([&endpoint]).await.unwrap()),
        Locker::new(EtcdStore::connect([&endpoint]).await.unwrap()),
    ];
    let waiting: Vec<_> = (0..CROWD)
        .map(|index| {
            let lock = lockers[index % 2].lock("crowd");
            tokio::spawn(async move {
                let guard = lock.acquire().await.unwrap();
                let attempts = guard.attempts();
                guard.release().await.unwrap();
                attempts
            })
        })
        .collect();
    let client = raw(&endpoint).await;
    until("all stand in the queue", || async {
        (entries(&client, "crowd").await.len() == CROWD + 1).then_some(())
    })
    .await;
    // Until all have looked at who stands before them: three watches each.
    until("all watch", || async {
        let watches = metric(&endpoint, "etcd_debugging_mvcc_watcher_total", "").await;
        (watches >= 3.0 * CROWD as f64 - 3.0).then_some(())
    })
    .await;
    let requests = async || metric(&endpoint, "grpc_server_handled_total", "\"KV\"").await;
    let before = requests().await;
    guard.release().await.unwrap();
    let mut attempts = 0;
    for one in waiting {
        attempts += within(4 * PATIENCE, one).await.unwrap();
    }
    let each = (requests().await - before) / CROWD as f64;
    println!(
        "{each:.2} requests for each turn, {:.2} attempts",
        f64::from(attempts) / CROWD as f64
    );
    // Taking the lock and releasing it, and a look now and then: nobody wakes the crowd.
    assert!(each < 5.0, "{each} requests for each turn");
    for locker in lockers {
        locker.close().await;
    }
    holder.close().await;
}

/// Who is not polled does not look after the queue: others of the same store do, and pass it over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_waiters_that_are_not_polled_hold_up_nobody() {
    let Some(endpoint) = etcd() else {
        return;
    };
    let client = raw(&endpoint).await;
    let locker = Locker::new(EtcdStore::connect([endpoint]).await.unwrap());
    let name = unique("unpolled");
    let queued = async |count| {
        until("it is queued", || async {
            (entries(&client, &name).await.len() == count).then_some(())
        })
        .await;
    };
    let guard = acquire(&locker, &name, Duration::from_secs(30)).await;
    let mut one = Box::pin(locker.lock(&name).acquire());
    let mut other = Box::pin(locker.lock(&name).acquire());
    let is_queued = std::pin::pin!(queued(2));
    // Polled until it stands there, and then no more.
    futures_util::future::select(&mut one, is_queued).await;
    let is_queued = std::pin::pin!(queued(3));
    // Polled until it stands there, and then no more.
    futures_util::future::select(&mut other, is_queued).await;
    let next = tokio::spawn(locker.lock(&name).acquire());
    queued(4).await;
    guard.release().await.unwrap();
    let next = within(PATIENCE, next).await.unwrap().unwrap();
    next.release().await.unwrap();
    for late in [one, other] {
        let late = within(PATIENCE, late).await.unwrap();
        late.release().await.unwrap();
    }
    locker.close().await;
}
