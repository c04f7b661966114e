//! The traps of a lease: what a naive client on etcd falls into.

use std::time::Duration;

use dlock_core::Locker;
use dlock_core::error::{Ended, LossCause};
use dlock_core::runtime::{Runtime, TokioRuntime};
use dlock_core::store::{Attempt, AttemptRequest, Expiry, LockStore, Mode, Release};
use dlock_core::{AttemptId, LockName};
use dlock_etcd::EtcdStore;
use dlock_etcd::etcd_client::{DeleteOptions, WatchOptions};

use crate::support::{self, Delay, Member, PATIENCE, entries, metric, raw, unique, until, within};

fn request(name: &str, ttl: u64, mode: Mode) -> AttemptRequest {
    let id = AttemptId::mint(&TokioRuntime::new());
    AttemptRequest::new(
        LockName::new(name).unwrap(),
        id,
        Duration::from_secs(ttl),
        mode,
    )
}

/// R1: a Txn does not renew the lease it puts a key under. The lease may be older than the lock.
#[tokio::test]
async fn a_key_under_an_older_lease_is_not_believed_beyond_the_leases_end() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let runtime = TokioRuntime::new();
    let store = EtcdStore::connect([&endpoint]).await.unwrap();
    // The first lock makes the lease, and gives it back.
    let granted_after = runtime.now();
    let first = request(&unique("older"), 10, Mode::Try);
    let Ok(Attempt::Granted(_)) = store.attempt(&first).await else {
        panic!("not granted")
    };
    let granted_before = runtime.now();
    let client = raw(&endpoint).await;
    let [(_, _, lease)] = entries(&client, first.name.as_str()).await[..] else {
        panic!("no entry")
    };
    let left = async || {
        let answer = client.lease_client().time_to_live(lease, None).await;
        answer.unwrap().ttl()
    };
    let release = Release::Attempt(first.id, first.trail.clone());
    assert!(store.release(&first.name, &release).await.unwrap().removed);
    // Later the same lease serves another lock, before a keepalive is due (after a third of the TTL).
    until("the lease is 2 s old", async || {
        (left().await <= 7).then_some(())
    })
    .await;
    let second = request(&unique("older"), 10, Mode::Try);
    let sent_at = runtime.now();
    let Ok(Attempt::Granted(granted)) = store.attempt(&second).await else {
        panic!("not granted")
    };
    let Expiry::At(counted_from) = granted.expiry else {
        panic!("{granted:?}")
    };
    assert!(
        counted_from >= granted_after && counted_from <= granted_before,
        "counted from the lease's own grant"
    );
    assert!(sent_at.since(counted_from) >= Duration::from_secs(2));
    // And etcd agrees: the lease ends when we believe, not a TTL after the key was put.
    let client = raw(&endpoint).await;
    let [(_, _, lease)] = entries(&client, second.name.as_str()).await[..] else {
        panic!("no entry")
    };
    let left = client
        .lease_client()
        .time_to_live(lease, None)
        .await
        .unwrap();
    assert!(
        left.ttl() < 8,
        "{} s left of a lease of 10 s, 2 s after its grant",
        left.ttl()
    );
}

/// Nobody tells a holder whose lease lives on that its key is gone, unless it watches.
#[tokio::test]
async fn a_held_key_that_is_deleted_by_hand_is_a_loss_at_once() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let name = unique("deleted");
    let locker = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    // The TTL is so long that no renewal can be what tells.
    let ttl = Duration::from_secs(600);
    let guard = locker.lock(&name).ttl(ttl).acquire().await.unwrap();
    let client = raw(&endpoint).await;
    let prefix = DeleteOptions::new().with_prefix();
    client
        .kv_client()
        .delete(format!("lock/{name}/"), Some(prefix))
        .await
        .unwrap();
    let ended = within(PATIENCE, guard.ended()).await;
    assert!(
        matches!(ended, Ended::Lost(LossCause::NotOwner)),
        "{ended:?}"
    );
    assert!(guard.check().is_err());
    locker.close().await;
}

/// The same for one that is held for long, whose watch has been open for long.
#[tokio::test]
async fn a_loss_is_told_by_the_watch_and_not_by_the_renewal() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let name = unique("watched");
    let locker = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let ttl = Duration::from_secs(600);
    let guard = locker.lock(&name).ttl(ttl).acquire().await.unwrap();
    until("the own key is watched", async || {
        let watches = metric(&endpoint, "etcd_debugging_mvcc_watcher_total", "").await;
        (watches == 1.0).then_some(())
    })
    .await;
    guard.check().unwrap();
    let client = raw(&endpoint).await;
    // Our own watch, opened the same way, is the measure: what it hears, the holder has heard.
    let options = WatchOptions::new().with_prefix();
    let mut watch = client
        .watch_client()
        .watch(format!("lock/{name}/"), Some(options))
        .await
        .unwrap();
    assert!(watch.message().await.unwrap().unwrap().created());
    assert!(locker.force_release(&name).await.unwrap());
    assert_eq!(watch.message().await.unwrap().unwrap().events().len(), 1);
    within(Duration::from_secs(5), guard.ended()).await;
    locker.close().await;
}

/// R3: the transaction comes through after its caller has given up. It leaves nothing beyond its TTL,
/// because its lease is revoked.
#[tokio::test]
async fn an_acquire_that_lands_after_its_caller_gave_up_leaves_nothing() {
    let Some(member) = Member::start() else {
        return;
    };
    let network = Delay::in_front_of(member.port()).await;
    let store = EtcdStore::builder()
        .endpoints([network.endpoint()])
        .response_timeout(Duration::from_millis(300))
        .connect()
        .await
        .unwrap();
    let locker = Locker::new(store);
    // A warm lease and connection.
    let warm = locker.lock("warm").acquire().await.unwrap();
    warm.release().await.unwrap();
    let client = raw(&member.endpoint()).await;
    let options = WatchOptions::new().with_prefix();
    let mut watch = client
        .watch_client()
        .watch("lock/late/", Some(options))
        .await
        .unwrap();
    assert!(watch.message().await.unwrap().unwrap().created());

    network.keep_back();
    let acquiring = tokio::spawn({
        let lock = locker.lock("late").wait(Duration::from_millis(100));
        async move { lock.acquire().await }
    });
    until("the transaction is on its way", async || {
        (network.kept() > 0).then_some(())
    })
    .await;
    network.lose_the_rest();
    let answer = within(PATIENCE, acquiring).await.unwrap();
    assert!(answer.is_err(), "{answer:?}");
    // Now it arrives, and the clean-up (over another connection) before it or after it.
    network.deliver().await;
    locker.close().await;
    assert_eq!(entries(&client, "late").await, []);
    until("all leases are gone", async || {
        let leases = client.lease_client().leases().await.unwrap();
        leases.leases().is_empty().then_some(())
    })
    .await;
    // Its key was there, unless the revocation of its lease came first: both end well.
    assert_eq!(entries(&client, "late").await, []);
}

/// The same when it arrives long before the clean-up: the key is there, and goes.
#[tokio::test]
async fn an_acquire_that_landed_unheard_is_taken_back() {
    let Some(member) = Member::start() else {
        return;
    };
    let network = Delay::in_front_of(member.port()).await;
    let store = EtcdStore::builder()
        .endpoints([network.endpoint()])
        // So long that the clean-up cannot come before the delivery.
        .response_timeout(Duration::from_secs(3))
        .connect()
        .await
        .unwrap();
    let locker = Locker::builder(store)
        .request_timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    let warm = locker.lock("warm").acquire().await.unwrap();
    warm.release().await.unwrap();
    let client = raw(&member.endpoint()).await;
    let options = WatchOptions::new().with_prefix();
    let mut watch = client
        .watch_client()
        .watch("lock/late/", Some(options))
        .await
        .unwrap();
    assert!(watch.message().await.unwrap().unwrap().created());

    network.keep_back();
    let acquiring = tokio::spawn({
        let lock = locker.lock("late");
        async move { lock.acquire().await }
    });
    until("the transaction is on its way", async || {
        (network.kept() > 0).then_some(())
    })
    .await;
    network.lose_the_rest();
    acquiring.abort();
    assert!(acquiring.await.unwrap_err().is_cancelled());
    network.deliver().await;
    // Put, and deleted by the clean-up.
    for expected in [0, 1] {
        let heard = within(PATIENCE, watch.message()).await.unwrap().unwrap();
        let kinds: Vec<_> = heard.events().iter().map(|event| event.0.r#type).collect();
        assert_eq!(kinds, [expected]);
    }
    locker.close().await;
    until("all leases are gone", async || {
        let leases = client.lease_client().leases().await.unwrap();
        leases.leases().is_empty().then_some(())
    })
    .await;
}
