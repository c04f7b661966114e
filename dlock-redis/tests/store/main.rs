//! The store on real servers, and on servers that talk nonsense.
//!
//! What a `Locker` makes of it is tested with the conformance kit, not here.
// Tests wait on real time, with bounds; helpers of tests may unwrap as tests do.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod attempt;
mod auth;
mod cluster_slots;
mod connection;
mod fence;
mod foreign;
mod full_memory;
mod garbage;
mod release;
mod renew;
mod replica;
mod scripts;
mod silence;
mod tls;
mod tokens;
mod unix_socket;
mod wrong_types;

use std::time::Duration;

use dlock_core::runtime::TokioRuntime;
use dlock_core::store::{
    Attempt, AttemptRequest, Granted, LockStore, Mode, Release, Released, Renewal, Renewed,
    StoreError, Trail,
};
use dlock_core::{AttemptId, Grant, LockName, OwnerLabel};
use dlock_redis::RedisStore;

const TTL: Duration = Duration::from_secs(60);

fn name(text: impl AsRef<str>) -> LockName {
    LockName::new(text).unwrap()
}

fn attempt_id() -> AttemptId {
    AttemptId::mint(&TokioRuntime::new())
}

fn request(lock: &LockName) -> AttemptRequest {
    AttemptRequest::new(lock.clone(), attempt_id(), TTL, Mode::Try)
        .labelled(OwnerLabel::new("test:1"))
}

/// The grant of an attempt that has to be granted.
async fn granted(store: &RedisStore, request: &AttemptRequest) -> Granted {
    match store.attempt(request).await.unwrap() {
        Attempt::Granted(granted) => granted,
        other => panic!("not granted: {other:?}"),
    }
}

async fn acquire(store: &RedisStore, lock: &LockName) -> Grant {
    granted(store, &request(lock)).await.grant
}

async fn is_free(store: &RedisStore, lock: &LockName) -> bool {
    store.inspect(lock).await.unwrap().is_none()
}

async fn renew(
    store: &RedisStore,
    lock: &LockName,
    grant: Grant,
    ttl: Duration,
) -> Result<Renewed, StoreError> {
    let mut answers = store.renew(&[Renewal::new(lock.clone(), grant, ttl)]).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

async fn release(
    store: &RedisStore,
    lock: &LockName,
    grant: Grant,
) -> Result<Released, StoreError> {
    store
        .release(lock, &Release::Grant(grant, Trail::default()))
        .await
}

fn is_unavailable<T: std::fmt::Debug>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable { .. }))
}

fn is_indeterminate<T: std::fmt::Debug>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Indeterminate { .. }))
}

/// The message of a rejection.
fn rejection<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Rejected { message, .. }) => message,
        other => panic!("not rejected: {other:?}"),
    }
}

/// A store on the shared server, and its URL. Returns from the test when there is no server.
macro_rules! shared_store {
    () => {{
        let Some(url) = crate::support::redis() else {
            return;
        };
        (dlock_redis::RedisStore::connect(&url).await.unwrap(), url)
    }};
}

/// A server of the test's own, with these arguments.
macro_rules! own_server {
    ($($argument:expr),*) => {{
        let Some(server) = crate::support::Server::start_with(&[$($argument),*]) else { return };
        server
    }};
}

pub(crate) use {own_server, shared_store};
