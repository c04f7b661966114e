//! The workloads, the same for each store.
//!
//! - `own_keys`: everybody has a lock to himself: how many acquisitions there are in a second.
//! - `contended`: all want the same lock: how long it takes from a release to the next grant.
//! - `idle_waiters`, `stampede`: what those who wait cost the server.
//! - `held`: what many locks that are held cost.

mod contended;
mod held;
mod idle_waiters;
mod own_keys;
mod stampede;
mod waiting;

use dlock_workloads::{Result, Store};

pub use own_keys::Cycle;

use crate::arguments::Arguments;
use crate::subject::Subject;

pub async fn run(arguments: &Arguments) -> Result<()> {
    match arguments.case.as_str() {
        "sequential" => own_keys::run(arguments, 1).await,
        "parallel-64" => own_keys::run(arguments, 64).await,
        "contended-16" => contended::tasks(arguments, 16).await,
        "contended-processes" => contended::processes(arguments, 16).await,
        "ping-pong-2" => contended::instances(arguments).await,
        "idle-waiters" => idle_waiters::run(arguments, ours(arguments)?).await,
        "stampede" => stampede::run(arguments, ours(arguments)?).await,
        "held-10000" => held::run(arguments, ours(arguments)?).await,
        other => Err(format!("there is no case {other}").into()),
    }
}

/// The store, in a case that has no floor.
fn ours(arguments: &Arguments) -> Result<Store> {
    match arguments.subject {
        Subject::Ours(store) => Ok(store),
        Subject::RedisFloor { .. } | Subject::EtcdFloor => {
            Err(format!("there is no floor for {}", arguments.case).into())
        }
    }
}
