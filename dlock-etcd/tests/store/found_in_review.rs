//! Schedules that broke a rule once.

use std::time::Duration;

use dlock_core::Locker;
use dlock_core::runtime::TokioRuntime;
use dlock_core::store::{
    Attempt, AttemptRequest, LockStore, Mode, Release, Renewal, Renewed, Trail,
};
use dlock_core::{AttemptId, LockName};
use dlock_etcd::EtcdStore;
use std::sync::Arc;
use std::task::Poll;

use crate::support::{self, PATIENCE, entries, raw, unique, until, within};

/// The clean-up of a cancelled waiter was spawned on a runtime that ended. The store goes on on another
/// one, and must not keep the waiter's entry alive.
#[test]
fn a_waiter_whose_runtime_has_ended_ends_with_its_ttl() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let name = unique("runtime-ended");
    let second = runtime();
    // Everything lives on the second runtime but the waiter and its clean-up.
    let (store, holder, client) = second.block_on(async {
        let store = EtcdStore::builder()
            .endpoints([&endpoint])
            .runtime(Arc::new(TokioRuntime::new()))
            .connect()
            .await
            .unwrap();
        let holder = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
        (store, holder, raw(&endpoint).await)
    });
    let guard = second.block_on(holder.lock(&name).acquire()).unwrap();
    let first = runtime();
    first.block_on(async {
        let locker = Locker::new(store.clone());
        let lock = locker.lock(&name).ttl(Duration::from_secs(2));
        let waiting = tokio::spawn(async move { lock.acquire().await });
        until("it queues", || async {
            (entries(&client, &name).await.len() == 2).then_some(())
        })
        .await;
        drop(waiting);
    });
    first.shutdown_background();
    second.block_on(async {
        // The store is used, which wakes its care for leases.
        let other = Locker::new(store.clone());
        until("the entry has ended", || async {
            let guard = other
                .lock(unique("other"))
                .ttl(Duration::from_secs(2))
                .acquire()
                .await;
            guard.unwrap().release().await.unwrap();
            (entries(&client, &name).await.len() == 1).then_some(())
        })
        .await;
        guard.release().await.unwrap();
        other.close().await;
        holder.close().await;
    });
}

/// Both gave the lease back; the second time it was another lock's.
#[tokio::test(flavor = "multi_thread")]
async fn two_releases_at_once_leave_the_next_lock_alone() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let store = EtcdStore::connect([&endpoint]).await.unwrap();
    let ttl = Duration::from_secs(60);
    let request = |name: &str| {
        let id = AttemptId::mint(&TokioRuntime::new());
        AttemptRequest::new(LockName::new(name).unwrap(), id, ttl, Mode::Try)
    };
    for _ in 0..40 {
        let first = request(&unique("twice"));
        let Ok(Attempt::Granted(granted)) = store.attempt(&first).await else {
            panic!("not granted")
        };
        let release = Release::Grant(granted.grant, Trail::default());
        let releases: Vec<_> = (0..4)
            .map(|_| {
                let (store, name, release) = (store.clone(), first.name.clone(), release.clone());
                tokio::spawn(async move { store.release(&name, &release).await.unwrap().removed })
            })
            .collect();
        // Whoever comes now may be given the lease of the first.
        let mut others = Vec::new();
        while others.is_empty() || !releases.iter().all(|one| one.is_finished()) {
            let next = request(&unique("next"));
            let Ok(Attempt::Granted(_)) = store.attempt(&next).await else {
                panic!("not granted")
            };
            others.push(next);
        }
        let mut removed = 0;
        for one in releases {
            removed += u32::from(within(PATIENCE, one).await.unwrap());
        }
        assert_eq!(removed, 1);
        for next in others {
            let release = Release::Attempt(next.id, Trail::default());
            let there = store.release(&next.name, &release).await.unwrap().removed;
            assert!(there, "another lock has gone");
        }
    }
    store.close().await;
}

/// A renewal by the holder does not cut short what somebody else has extended the lock to.
#[tokio::test]
async fn an_extension_from_elsewhere_is_not_cut_short() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let name = unique("extended");
    let here = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let elsewhere = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    // Renewed every second.
    let guard = here
        .lock(&name)
        .ttl(Duration::from_secs(3))
        .acquire()
        .await
        .unwrap();
    let hour = Duration::from_secs(3600);
    elsewhere.extend(&name, &guard.grant(), hour).await.unwrap();
    let client = raw(&endpoint).await;
    let first = guard.remaining();
    until("it is renewed here", async || {
        (guard.remaining() > first).then_some(())
    })
    .await;
    let [(_, _, lease)] = entries(&client, &name).await[..] else {
        panic!("no entry")
    };
    let left = client
        .lease_client()
        .time_to_live(lease, None)
        .await
        .unwrap();
    assert!(left.ttl() > 3000, "{} s are left of an hour", left.ttl());
    guard.release().await.unwrap();
    here.close().await;
    elsewhere.close().await;
}

/// An extension that nobody polls any more is no reason for the other renewals of a batch to fail.
#[tokio::test]
async fn an_abandoned_renewal_does_not_hold_up_a_batch() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let store = EtcdStore::connect([&endpoint]).await.unwrap();
    let ttl = Duration::from_secs(60);
    let mut renewals = Vec::new();
    for name in ["stuck", "other"] {
        let id = AttemptId::mint(&TokioRuntime::new());
        let name = LockName::new(unique(name)).unwrap();
        let request = AttemptRequest::new(name.clone(), id, ttl, Mode::Try);
        let Ok(Attempt::Granted(granted)) = store.attempt(&request).await else {
            panic!("not granted")
        };
        renewals.push(Renewal::new(name, granted.grant, ttl));
    }
    let mut longer = [renewals[0].clone()];
    longer[0].ttl = 2 * ttl;
    let mut abandoned = store.renew(&longer);
    // Polled once, so that its requests have begun; then never again.
    let once = std::future::poll_fn(|cx| Poll::Ready(abandoned.as_mut().poll(cx))).await;
    assert!(
        once.is_pending(),
        "it was answered at once: this tests nothing"
    );
    let answers = within(PATIENCE, store.renew(&renewals)).await;
    assert!(answers[0].is_err(), "{answers:?}");
    assert!(matches!(answers[1], Ok(Renewed::Until(_))), "{answers:?}");
    drop(abandoned);
    for renewal in renewals {
        let release = Release::Grant(renewal.grant, Trail::default());
        assert!(
            store
                .release(&renewal.name, &release)
                .await
                .unwrap()
                .removed
        );
    }
    store.close().await;
}
