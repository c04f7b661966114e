//! Members that are away, and come back.

use std::time::Instant;

use dlock_core::store::StoreError;
use dlock_core::{AcquireError, Ended, LeaseError, Locker, LossCause, Status};
use dlock_etcd::EtcdStore;
use futures_util::future::join_all;

use crate::support::{Member, PATIENCE, etcd, imposters, nobody, skip, unique, until, within};
use crate::{SECOND, acquire, locker};

fn lazy(endpoint: &str) -> EtcdStore {
    EtcdStore::builder().endpoints([endpoint]).lazy().unwrap()
}

fn is_typed(what: &str, error: &AcquireError) {
    let typed = matches!(
        error,
        AcquireError::Store {
            source: StoreError::Unavailable { .. } | StoreError::Indeterminate { .. },
            ..
        }
    );
    assert!(typed, "{what}: {error:?}");
}

/// `store-down`: there is no etcd when acquire is called, with a budget of 3 s.
#[tokio::test]
async fn no_etcd_is_a_typed_error_within_the_budget() {
    let all = imposters().await.into_iter();
    join_all(all.map(|(what, endpoint)| async move {
        let locker = Locker::builder(lazy(&endpoint)).close_budget(SECOND);
        let locker = locker.build().unwrap();
        let acquiring = locker.lock("a").wait(3 * SECOND).acquire();
        // Twice the budget: whether it is kept to the millisecond is tested in virtual time.
        is_typed(what, &within(6 * SECOND, acquiring).await.unwrap_err());
        // The request timeout is 5 s.
        let trying = locker.lock("a").try_acquire();
        is_typed(what, &within(10 * SECOND, trying).await.unwrap_err());
        // The budget, and the request timeout for the store.
        within(10 * SECOND, locker.close()).await;
    }))
    .await;
}

/// Nothing can have been sent: there is nothing to repeat, and nothing to clean up.
#[tokio::test]
async fn where_nobody_listens_try_acquire_fails_at_once() {
    let builder = Locker::builder(lazy(&nobody())).request_timeout(10 * PATIENCE);
    let locker = builder.close_budget(10 * PATIENCE).build().unwrap();
    for _ in 0..10 {
        let trying = locker.lock("a").try_acquire();
        let error = within(5 * SECOND, trying).await.unwrap_err();
        let AcquireError::Store { source, .. } = error else {
            panic!("{error:?}");
        };
        assert!(
            matches!(source, StoreError::Unavailable { .. }),
            "{source:?}"
        );
    }
    let closed = within(5 * SECOND, locker.close()).await;
    assert_eq!(closed.unfinished, 0);
}

#[tokio::test]
async fn a_locker_whose_first_endpoint_is_no_etcd_works_with_the_second() {
    let Some(living) = etcd() else {
        return skip("there is no etcd");
    };
    let living = &living;
    let all = imposters().await.into_iter();
    join_all(all.map(|(what, endpoint)| async move {
        let builder = EtcdStore::builder().endpoints([&endpoint, living]);
        let locker = Locker::new(builder.lazy().unwrap());
        let acquiring = locker.lock(unique("second")).wait(PATIENCE).acquire();
        let guard = acquiring.await;
        let guard = guard.unwrap_or_else(|error| panic!("{what}: {error}"));
        guard.release().await.unwrap();
        assert_eq!(within(PATIENCE, locker.close()).await.unfinished, 0);
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acquire_outlives_an_outage() {
    let Some(mut member) = Member::start() else {
        return;
    };
    let (warm, cold) = (
        locker(&member.endpoint()).await,
        Locker::new(lazy(&member.endpoint())),
    );
    member.kill();
    let acquiring = [warm, cold].map(|locker| {
        let acquiring = locker.lock(unique("outage")).wait(2 * PATIENCE).acquire();
        tokio::spawn(async move {
            acquiring.await.unwrap().release().await.unwrap();
            locker.close().await
        })
    });
    member.restart();
    for one in acquiring {
        assert_eq!(within(2 * PATIENCE, one).await.unwrap().unfinished, 0);
    }
}

/// etcd forgets nothing: the lock is still held, those who wait still stand in their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_member_costs_no_lock_and_no_place() {
    let Some(mut member) = Member::start() else {
        return;
    };
    let (holding, waiting) = (
        locker(&member.endpoint()).await,
        locker(&member.endpoint()).await,
    );
    let name = unique("restart");
    let guard = acquire(&holding, &name, 30 * SECOND).await;
    let mut waiters = Vec::new();
    for place in 1..=3 {
        let lock = waiting.lock(&name).ttl(30 * SECOND).wait(3 * PATIENCE);
        waiters.push(tokio::spawn(lock.acquire()));
        let queued = async || {
            let waiters = holding.inspect(&name).await.unwrap()?.waiters;
            (waiters == Some(place)).then_some(())
        };
        until("it queues", queued).await;
    }
    let token = guard.token();
    member.kill();
    guard.check().unwrap();
    member.restart();

    // A renewal that is answered, and one of the grant by somebody else.
    until("an answer", async || guard.extend(30 * SECOND).await.ok()).await;
    assert_eq!(guard.status(), Status::Held);
    let seen = until("an answer", async || holding.inspect(&name).await.ok()).await;
    let seen = seen.expect("it is held");
    assert_eq!((seen.token, seen.waiters), (Some(token), Some(3)));
    guard.release().await.unwrap();
    let mut last = token;
    for waiter in waiters {
        let guard = within(PATIENCE, waiter).await.unwrap().unwrap();
        assert!(guard.token() > last, "in the order of their arrival");
        last = guard.token();
        guard.release().await.unwrap();
    }
}

/// R15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_frozen_for_less_than_the_ttl_suspends_the_lock() {
    let Some(member) = Member::start() else {
        return;
    };
    let locker = locker(&member.endpoint()).await;
    let guard = acquire(&locker, "a", 12 * SECOND).await;
    let token = guard.token();
    member.freeze();
    let status = async |wanted| {
        until(&format!("{wanted:?}"), async || {
            (guard.status() == wanted).then_some(())
        })
        .await;
    };
    // A third of the TTL, and the response timeout.
    status(Status::Suspended).await;
    guard.check().unwrap();
    let error = guard.ensure(SECOND).unwrap_err();
    assert!(matches!(error, LeaseError::Suspended { .. }), "{error:?}");
    member.thaw();
    status(Status::Held).await;
    guard.check().unwrap();
    let seen = locker.inspect("a").await.unwrap().unwrap();
    assert_eq!(seen.token, Some(token));
    guard.release().await.unwrap();
}

/// R7: the deadline needs no network.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_frozen_for_longer_than_the_ttl_costs_the_lock_at_the_deadline() {
    let Some(member) = Member::start() else {
        return;
    };
    // So short that a renewal has failed by then.
    let builder = EtcdStore::builder().endpoints([member.endpoint()]);
    let store = builder.response_timeout(SECOND / 2).lazy().unwrap();
    let (first, second) = (Locker::new(store), locker(&member.endpoint()).await);
    let guard = acquire(&first, "a", 3 * SECOND).await;
    member.freeze();
    // The first renewal is due a second after the grant: nothing can move the deadline any more.
    let before = Instant::now();
    let left = guard.remaining();
    let after = Instant::now();
    until("the deadline", async || {
        let asked_at = Instant::now();
        if guard.check().is_err() {
            return Some(());
        }
        assert!(asked_at <= after + left, "believed after its deadline");
        None
    })
    .await;
    assert!(Instant::now() >= before + left, "lost before its deadline");
    let ended = within(2 * SECOND, guard.ended()).await;
    assert!(
        matches!(ended, Ended::Lost(LossCause::Unreachable)),
        "{ended:?}"
    );
    assert_eq!(guard.status(), Status::Ended);

    member.thaw();
    let next = acquire(&second, "a", 3 * SECOND).await;
    assert!(next.token() > guard.token());
    guard.release().await.unwrap_err();
    next.check().unwrap();
    next.release().await.unwrap();
}
