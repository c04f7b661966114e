//! Real servers for tests.
//!
//! - [`redis`]: one server shared by all tests of a process, or by all processes when
//!   `DLOCK_TEST_REDIS` names its URL. Tests on it use [`unique`] names.
//! - [`Server::start`]: a server of a test's own, to kill, freeze, fill or flush.
//!
//! The binary is `DLOCK_TEST_REDIS_SERVER`, or `redis-server` or `valkey-server` in the PATH. Without
//! one a test prints `SKIP(reason)` and passes, unless `DLOCK_TEST_REQUIRE_SERVERS=1`.
#![allow(dead_code, clippy::disallowed_methods, clippy::unwrap_used)]

mod server;

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dlock_redis::redis::aio::MultiplexedConnection;
use dlock_redis::redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue};

pub use server::{PATIENCE, Server};

/// The URL of the shared server; `None`: there is none, and the test should return.
pub fn redis() -> Option<String> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    if let Ok(url) = std::env::var("DLOCK_TEST_REDIS") {
        return Some(url);
    }
    SHARED.get_or_init(Server::start).as_ref().map(Server::url)
}

/// Says that a test cannot run here; fails it where it has to run.
pub fn skip(reason: &str) {
    assert!(
        std::env::var("DLOCK_TEST_REQUIRE_SERVERS").as_deref() != Ok("1"),
        "{reason}. Install redis-server (Debian: apt-get install redis-server), or set DLOCK_TEST_REDIS_SERVER to a \
         redis-server or valkey-server binary; or unset DLOCK_TEST_REQUIRE_SERVERS to skip such tests"
    );
    println!("SKIP({reason})");
}

/// The server's binary.
fn binary() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("DLOCK_TEST_REDIS_SERVER") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    let in_path = |name: &str| {
        std::env::split_paths(&path)
            .map(|dir| dir.join(name))
            .find(|file| file.is_file())
    };
    in_path("redis-server").or_else(|| in_path("valkey-server"))
}

/// A name that no other test uses.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{what}-{:x}-{:x}",
        std::process::id(),
        RandomState::new().hash_one(count)
    )
}

/// A plain connection, for looking behind the store's back.
pub async fn raw(url: &str) -> MultiplexedConnection {
    let client = Client::open(url).unwrap();
    // The client's own limit of half a second is too short for a busy machine: `within` limits.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    within(PATIENCE, connecting).await.unwrap()
}

/// Sends a command given as words, and expects it to work.
pub async fn send<T: FromRedisValue>(connection: &MultiplexedConnection, words: &[&str]) -> T {
    let mut command = Cmd::new();
    command.arg(words);
    let answer = within(PATIENCE, command.query_async(&mut connection.clone())).await;
    answer.unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// A test waits for events, and not for ever.
pub async fn within<F: Future>(limit: Duration, future: F) -> F::Output {
    tokio::time::timeout(limit, future)
        .await
        .unwrap_or_else(|_| panic!("not within {limit:?}"))
}
