//! An operator revokes a lease.

use std::time::Duration;

use dlock_core::error::{Ended, LossCause};
use dlock_core::runtime::TokioRuntime;
use dlock_core::store::{Attempt, AttemptRequest, LockStore, Mode};
use dlock_core::{AttemptId, LockName, Locker, OwnerLabel};
use dlock_etcd::EtcdStore;

use crate::support::{self, PATIENCE, entries, raw, run_etcdctl, unique, until, within};

#[tokio::test]
async fn a_holder_whose_lease_is_revoked_has_lost() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let name = unique("revoked");
    let locker = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let ttl = Duration::from_secs(600);
    let guard = locker.lock(&name).ttl(ttl).acquire().await.unwrap();
    let client = raw(&endpoint).await;
    let [(_, _, lease)] = entries(&client, &name).await[..] else {
        panic!("no entry")
    };
    let Some(_) = run_etcdctl(&endpoint, &["lease", "revoke", &format!("{lease:x}")]).await else {
        return;
    };
    let ended = within(PATIENCE, guard.ended()).await;
    assert!(
        matches!(ended, Ended::Lost(LossCause::NotOwner)),
        "{ended:?}"
    );
    let error = guard.release().await.unwrap_err();
    assert!(error.to_string().contains("lost"), "{error}");
    locker.close().await;
}

fn request(name: &str, label: &str) -> AttemptRequest {
    let id = AttemptId::mint(&TokioRuntime::new());
    let ttl = Duration::from_secs(600);
    AttemptRequest::new(LockName::new(name).unwrap(), id, ttl, Mode::Queue)
        .labelled(OwnerLabel::new(label))
}

/// etcd issue 11456: its lock is told to have been granted after its lease died.
#[tokio::test]
async fn a_waiter_whose_lease_is_revoked_loses_its_place_and_is_not_granted_by_it() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let name = unique("revoked-waiter");
    let locker = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let store = EtcdStore::connect([&endpoint]).await.unwrap();
    let client = raw(&endpoint).await;
    let guard = locker.lock(&name).acquire().await.unwrap();
    let ahead = request(&name, "ahead");
    let Ok(Attempt::Busy {
        place: Some(mut place),
        ..
    }) = store.attempt(&ahead).await
    else {
        panic!()
    };
    let behind = request(&name, "behind");
    let Ok(Attempt::Busy {
        place: Some(mut next),
        ..
    }) = store.attempt(&behind).await
    else {
        panic!()
    };
    let queue = entries(&client, &name).await;
    let (_, _, lease) = queue
        .iter()
        .find(|(_, value, _)| value.ends_with("ahead"))
        .unwrap();
    let waiting = tokio::spawn(async move { place.wait().await });
    let Some(_) = run_etcdctl(&endpoint, &["lease", "revoke", &format!("{lease:x}")]).await else {
        return;
    };
    // Told at once, while the lock is still held.
    within(PATIENCE, waiting).await.unwrap();
    let Ok(Attempt::Busy { place: Some(_), .. }) = store.attempt(&ahead).await else {
        panic!("a waiter whose lease is gone was granted a held lock")
    };
    // The one that was behind it is the next now.
    guard.release().await.unwrap();
    within(PATIENCE, next.wait()).await;
    let refused = store.attempt(&ahead).await;
    assert!(matches!(refused, Ok(Attempt::Busy { .. })), "{refused:?}");
    let granted = store.attempt(&behind).await;
    assert!(matches!(granted, Ok(Attempt::Granted(_))), "{granted:?}");
    locker.close().await;
}

/// Under a `Locker` it goes on waiting, at the end of the queue.
#[tokio::test]
async fn a_locker_whose_place_was_lost_gets_the_lock_in_the_end() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let name = unique("revoked-waiter");
    let locker = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let client = raw(&endpoint).await;
    let guard = locker.lock(&name).acquire().await.unwrap();
    let waiting = tokio::spawn({
        let lock = locker.lock(&name);
        async move { lock.acquire().await }
    });
    let other = |holder: i64| {
        let client = &client;
        let name = &name;
        move || async move {
            let queue = entries(client, name).await;
            queue
                .iter()
                .map(|(_, _, lease)| *lease)
                .find(|lease| *lease != holder)
        }
    };
    let [(_, _, holder)] = entries(&client, &name).await[..1] else {
        panic!()
    };
    let lease = until("it queues", other(holder)).await;
    if run_etcdctl(&endpoint, &["lease", "revoke", &format!("{lease:x}")])
        .await
        .is_none()
    {
        return;
    }
    until("it queues again", || async {
        let again = other(holder)().await;
        again.filter(|again| *again != lease)
    })
    .await;
    guard.release().await.unwrap();
    within(PATIENCE, waiting)
        .await
        .unwrap()
        .unwrap()
        .release()
        .await
        .unwrap();
    locker.close().await;
}
