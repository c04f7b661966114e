//! What a user sees: lockers on real members, with real kills and freezes.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // Helpers of tests do as tests do.

#[path = "../support/mod.rs"]
mod support;

mod cancellation;
mod cluster;
mod crowd;
mod dropped;
mod leftovers;
mod outage;
mod processes;
mod storm;
mod ttl;

use std::time::Duration;

use dlock_core::{Guard, Locker};
use dlock_etcd::EtcdStore;

const SECOND: Duration = Duration::from_secs(1);

async fn locker(endpoint: &str) -> Locker {
    Locker::new(EtcdStore::connect([endpoint]).await.unwrap())
}

async fn acquire(locker: &Locker, name: &str, ttl: Duration) -> Guard {
    let lock = locker.lock(name).ttl(ttl).wait(support::PATIENCE);
    lock.acquire().await.unwrap()
}
