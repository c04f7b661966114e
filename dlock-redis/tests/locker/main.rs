//! What a user sees: lockers on real servers, with real kills, freezes, cuts and foreign clients.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // Tests wait on real time, with bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::zombie_processes)] // Helpers of tests fail as tests do.

#[path = "../support/mod.rs"]
mod support;

mod cancellation;
mod cuts;
mod foreign_clients;
mod hand_over;
mod outage;
mod processes;
mod proxy;
mod queue;
mod renewal_storm;

use std::time::Duration;

use dlock_core::{Guard, Locker};
use dlock_redis::RedisStore;

const SECOND: Duration = Duration::from_secs(1);

async fn locker(url: &str) -> Locker {
    Locker::new(RedisStore::connect(url).await.unwrap())
}

async fn acquire(locker: &Locker, name: &str, ttl: Duration) -> Guard {
    locker
        .lock(name)
        .ttl(ttl)
        .wait(support::PATIENCE)
        .acquire()
        .await
        .unwrap()
}

/// Waits until `look` finds nothing, asking the server as fast as it answers.
async fn until_none<T: std::fmt::Debug>(what: &str, mut look: impl AsyncFnMut() -> Vec<T>) {
    let gone = tokio::time::timeout(support::PATIENCE, async {
        while !look().await.is_empty() {
            tokio::task::yield_now().await;
        }
    });
    if gone.await.is_err() {
        panic!("{what} after {:?}: {:?}", support::PATIENCE, look().await);
    }
}
