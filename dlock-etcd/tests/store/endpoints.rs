//! Endpoints at which there is no etcd: typed errors within the timeouts, and the next one is asked.

use std::future::Future;
use std::time::Duration;

use dlock_core::store::{
    Attempt, AttemptRequest, LockStore, Mode, Release, Renewal, StoreError, Trail,
};
use dlock_core::{FencingToken, Grant};
use dlock_etcd::etcd_client::Permission;
use dlock_etcd::{Error, EtcdStore, EtcdStoreBuilder};
use futures_util::future::join_all;

use crate::support::{
    PASSWORD, PATIENCE, count_panics, etcd, guarded, imposters, nobody, skip, unique, until, within,
};
use crate::{TTL, attempt_id, name, request};

const LIMIT: Duration = Duration::from_millis(250);

/// More than a few of the limits, and less than anything without a limit.
const IN_TIME: Duration = Duration::from_secs(5);

fn impatient(endpoint: &str) -> EtcdStoreBuilder {
    EtcdStore::builder()
        .endpoints([endpoint])
        .connect_timeout(LIMIT)
        .response_timeout(2 * LIMIT)
}

/// All at the same time.
async fn with_every_imposter<F: Future<Output = ()>>(check: impl Fn(&'static str, String) -> F) {
    let checks = imposters().await.into_iter();
    join_all(checks.map(|(what, endpoint)| check(what, endpoint))).await;
}

#[tokio::test]
async fn connecting_to_what_is_no_etcd_is_unavailable_within_the_timeouts() {
    with_every_imposter(async |what, endpoint| {
        let connecting = impatient(&endpoint).connect();
        let error = within(IN_TIME, connecting).await.unwrap_err();
        let shown = error.to_string();
        assert!(
            matches!(error, Error::Unavailable { .. }),
            "{what}: {error:?}"
        );
        assert!(shown.contains("check that etcd runs"), "{what}: {shown}");
        assert!(shown.contains(&endpoint), "{what}: {shown}");
    })
    .await;
}

#[tokio::test]
async fn a_refused_connection_is_told_at_once() {
    let connecting = EtcdStore::builder()
        .endpoints([nobody()])
        .connect_timeout(10 * PATIENCE)
        .response_timeout(10 * PATIENCE)
        .connect();
    let error = within(IN_TIME, connecting).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn every_operation_on_what_is_no_etcd_is_a_typed_error_within_the_timeouts() {
    let panics = count_panics();
    with_every_imposter(async |what, endpoint| {
        let store = impatient(&endpoint).lazy().unwrap();
        let lock = name("nobody");
        let grant = Grant {
            id: attempt_id(),
            token: FencingToken::new(7).unwrap(),
        };
        for mode in [Mode::Try, Mode::Queue] {
            let asking = AttemptRequest::new(lock.clone(), attempt_id(), TTL, mode);
            fails(
                what,
                &endpoint,
                within(IN_TIME, store.attempt(&asking)).await,
            );
        }
        let renewals = vec![Renewal::new(lock.clone(), grant, TTL); 3];
        let renewed = within(IN_TIME, store.renew(&renewals)).await;
        assert_eq!(renewed.len(), 3);
        renewed
            .into_iter()
            .for_each(|one| fails(what, &endpoint, one));
        let release = Release::Grant(grant, Trail::default());
        fails(
            what,
            &endpoint,
            within(IN_TIME, store.release(&lock, &release)).await,
        );
        fails(what, &endpoint, within(IN_TIME, store.inspect(&lock)).await);
        fails(
            what,
            &endpoint,
            within(IN_TIME, store.force_release(&lock)).await,
        );
        let mut watch = store.watch(&lock).await.unwrap().unwrap();
        if let Ok(told) = tokio::time::timeout(LIMIT, watch.next()).await {
            fails(what, &endpoint, told);
        }
        within(IN_TIME, store.close()).await;
    })
    .await;
    assert_eq!(panics.count(), 0);
}

fn fails<T: std::fmt::Debug>(what: &str, endpoint: &str, answer: Result<T, StoreError>) {
    let error = answer.unwrap_err();
    match error {
        StoreError::Unavailable { .. } => {}
        // Nothing can have been sent where every connection is refused.
        StoreError::Indeterminate { .. } if what != "nobody listens" => {}
        _ => panic!("{what}: {error:?}"),
    }
    assert!(error.to_string().contains(endpoint), "{what}: {error}");
}

#[tokio::test]
async fn connecting_asks_the_second_endpoint_when_the_first_is_no_etcd() {
    let Some(living) = etcd() else {
        return skip("there is no etcd");
    };
    with_every_imposter(async |what, endpoint| {
        let store = within(PATIENCE, EtcdStore::connect([&endpoint, &living]))
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        acquire_and_release(what, &store).await;
    })
    .await;
}

#[tokio::test]
async fn an_attempt_asks_the_second_endpoint_when_the_first_is_no_etcd() {
    let Some(living) = etcd() else {
        return skip("there is no etcd");
    };
    with_every_imposter(async |what, endpoint| {
        let endpoints = [&endpoint, &living];
        let store = EtcdStore::builder().endpoints(endpoints).lazy().unwrap();
        acquire_and_release(what, &store).await;
    })
    .await;
}

/// Asking for a token is what fails first then.
#[tokio::test]
async fn with_a_user_the_second_endpoint_is_asked_as_well() {
    let rights = vec![Permission::read_write("lock/").with_prefix()];
    let Some(member) = guarded(&[], [("worker", rights)]).await else {
        return;
    };
    with_every_imposter(async |what, endpoint| {
        let connecting = EtcdStore::builder()
            .endpoints([&endpoint, &member.endpoint()])
            .user("worker", PASSWORD)
            .connect();
        let store = within(PATIENCE, connecting)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        acquire_and_release(what, &store).await;
    })
    .await;
}

/// An answer is lost where the first endpoint was asked: the same request, sent again, goes to the second.
async fn acquire_and_release(what: &str, store: &EtcdStore) {
    let asking = request(&name(unique("second")));
    let answer = until("an answer", async || match store.attempt(&asking).await {
        Err(StoreError::Indeterminate { .. }) => None,
        answer => Some(answer),
    })
    .await;
    assert!(
        matches!(answer, Ok(Attempt::Granted(_))),
        "{what}: {answer:?}"
    );
    let release = Release::Attempt(asking.id, asking.trail.clone());
    let released = within(PATIENCE, store.release(&asking.name, &release)).await;
    assert!(released.unwrap().removed, "{what}");
}
