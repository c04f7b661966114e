//! Real etcds for tests.
//!
//! - [`etcd`]: one member shared by all tests of a process, or by all processes when `DLOCK_TEST_ETCD`
//!   names its endpoint. Tests on it use [`unique`] names.
//! - [`Member::start`], [`Cluster::start`]: a test's own, to kill and freeze.
//!
//! The binary is `DLOCK_TEST_ETCD_SERVER`, or `etcd` in the PATH; `DLOCK_TEST_ETCDCTL`, or `etcdctl`.
//! Without one a test prints `SKIP(reason)` and passes, unless `DLOCK_TEST_REQUIRE_SERVERS=1`.
#![allow(dead_code, clippy::disallowed_methods, clippy::unwrap_used)]

mod delay;
mod imposter;
mod panics;
mod server;
mod users;

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dlock_etcd::etcd_client::{Client, GetOptions};

#[allow(unused_imports)] // Not every test file needs them.
pub use delay::Delay;
#[allow(unused_imports)]
pub use imposter::{black_hole, imposters, nobody, silent};
#[allow(unused_imports)]
pub use panics::count_panics;
#[allow(unused_imports)]
pub use server::{Cluster, Member};
#[allow(unused_imports)]
pub use users::{PASSWORD, guard, guarded, root};

/// How long a test waits for something that takes milliseconds on a quiet machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The endpoint of the shared member; `None`: there is none, and the test should return.
pub fn etcd() -> Option<String> {
    static SHARED: OnceLock<Option<Member>> = OnceLock::new();
    if let Ok(endpoint) = std::env::var("DLOCK_TEST_ETCD") {
        return Some(endpoint);
    }
    SHARED
        .get_or_init(Member::start)
        .as_ref()
        .map(Member::endpoint)
}

/// Says that a test cannot run here; fails it where it has to run.
pub fn skip(reason: &str) {
    assert!(
        std::env::var("DLOCK_TEST_REQUIRE_SERVERS").as_deref() != Ok("1"),
        "{reason}. Install etcd (Debian: apt-get install etcd-server etcd-client), or set DLOCK_TEST_ETCD_SERVER and \
         DLOCK_TEST_ETCDCTL to the binaries; or unset DLOCK_TEST_REQUIRE_SERVERS to skip such tests"
    );
    println!("SKIP({reason})");
}

fn binary(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// `etcdctl`, to be given words; `None`: there is none, and the test should return.
pub fn etcdctl(endpoint: &str, words: &[&str]) -> Option<tokio::process::Command> {
    let Some(binary) = binary("DLOCK_TEST_ETCDCTL", "etcdctl") else {
        skip("there is no etcdctl");
        return None;
    };
    let mut command = tokio::process::Command::new(binary);
    command
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", endpoint])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Some(command)
}

/// Runs `etcdctl` to its end, and returns what it printed; `None`: there is none.
pub async fn run_etcdctl(endpoint: &str, words: &[&str]) -> Option<String> {
    let output = within(PATIENCE, etcdctl(endpoint, words)?.output())
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "etcdctl {words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
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

/// A plain client, for looking behind the store's back.
pub async fn raw(endpoint: &str) -> Client {
    within(PATIENCE, Client::connect([endpoint], None))
        .await
        .unwrap()
}

/// Every entry in the queue of this name, under the default prefix: key, value, lease.
pub async fn entries(client: &Client, name: &str) -> Vec<(String, String, i64)> {
    let options = GetOptions::new().with_prefix();
    let answer = within(
        PATIENCE,
        client
            .kv_client()
            .get(format!("lock/{name}/"), Some(options)),
    )
    .await
    .unwrap();
    answer
        .kvs()
        .iter()
        .map(|kv| {
            (
                kv.key_str().unwrap().to_owned(),
                kv.value_str().unwrap().to_owned(),
                kv.lease(),
            )
        })
        .collect()
}

/// A number of the server's own counting, from `/metrics`: the sum over all labels that contain `labels`.
pub async fn metric(endpoint: &str, name: &str, labels: &str) -> f64 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let address = endpoint.strip_prefix("http://").unwrap();
    let asking = async {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    within(PATIENCE, asking)
        .await
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|line| line.starts_with([' ', '{']) && line.contains(labels))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// A test waits for events, and not for ever.
pub async fn within<F: Future>(limit: Duration, future: F) -> F::Output {
    tokio::time::timeout(limit, future)
        .await
        .unwrap_or_else(|_| panic!("not within {limit:?}"))
}

/// Looks again and again until there is something to see.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}
