//! Old and new services exclude each other during a migration.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use dlock_core::AcquireError;
use dlock_core::store::StoreError;

use crate::support::{raw, redis, send, skip, unique, within};
use crate::{SECOND, acquire, locker};

#[tokio::test]
async fn a_raw_set_nx_px_excludes_dlock_and_is_excluded_by_it() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let (locker, connection) = (locker(&url).await, raw(&url).await);
    let name = unique("raw");
    let key = format!("lock:{name}");
    let set: Option<String> =
        send(&connection, &["SET", &key, "somebody", "NX", "PX", "60000"]).await;
    assert!(set.is_some());
    assert!(locker.lock(&name).try_acquire().await.unwrap().is_none());
    let seen = locker.inspect(&name).await.unwrap().unwrap();
    assert!(
        seen.token.is_none() && seen.label.is_none() && seen.time_left.is_some(),
        "{seen:?}"
    );
    let _: u64 = send(&connection, &["DEL", &key]).await;
    let guard = acquire(&locker, &name, 30 * SECOND).await;
    let set: Option<String> =
        send(&connection, &["SET", &key, "somebody", "NX", "PX", "60000"]).await;
    assert!(set.is_none(), "taken from under our feet");
    guard.release().await.unwrap();
}

/// redis-py's `Lock`, unmodified, driven line by line.
#[tokio::test]
async fn redis_py_excludes_dlock_and_is_excluded_by_it() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let Some(mut python) = RedisPy::start(&url) else {
        return println!("SKIP(DLOCK_TEST_REDIS_PY names no Python that has the package `redis`)");
    };
    let (locker, server) = (locker(&url).await, raw(&url).await);
    for timeout in ["60", "None"] {
        let name = unique("py");
        assert_eq!(
            python.ask(&format!("acquire lock:{name} {timeout}")),
            "True"
        );
        assert!(locker.lock(&name).try_acquire().await.unwrap().is_none());
        assert_eq!(python.ask(&format!("release lock:{name}")), "ok");
        let guard = acquire(&locker, &name, 30 * SECOND).await;
        assert_eq!(
            python.ask(&format!("acquire lock:{name} {timeout}")),
            "False"
        );
        // Its release of a lock that it has not got fails there, and leaves ours alone.
        assert_eq!(
            python.ask(&format!("release lock:{name}")),
            "LockNotOwnedError"
        );
        guard.check().unwrap();
        guard.release().await.unwrap();
        assert_eq!(
            python.ask(&format!("acquire lock:{name} {timeout}")),
            "True"
        );
        // Its release tells nobody.
        let waiting = tokio::spawn(locker.lock(&name).acquire());
        let queue = format!("{{lock:{name}}}dlock:queue:lock:{name}");
        while send::<u64>(&server, &["ZCARD", &queue]).await == 0 {}
        assert_eq!(python.ask(&format!("release lock:{name}")), "ok");
        let released = std::time::Instant::now();
        let guard = within(3 * SECOND, waiting).await.unwrap().unwrap();
        println!("timeout {timeout}: noticed after {:?}", released.elapsed());
        guard.release().await.unwrap();
    }
}

/// A waiting dlock gets the lock when the foreign holder goes without a word.
#[tokio::test]
async fn a_foreign_release_is_noticed() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let (locker, connection) = (locker(&url).await, raw(&url).await);
    let name = unique("silent");
    let _: String = send(&connection, &["SET", &format!("lock:{name}"), "somebody"]).await;
    let waiting = tokio::spawn({
        let acquire = locker.lock(&name).wait(crate::support::PATIENCE).acquire();
        async move { acquire.await.map(|guard| guard.attempts()) }
    });
    // It waits: the holder that it sees has no end.
    while locker
        .inspect(&name)
        .await
        .unwrap()
        .unwrap()
        .time_left
        .is_some()
    {}
    let _: u64 = send(&connection, &["DEL", &format!("lock:{name}")]).await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_value_of_a_wrong_type_is_a_typed_error_and_is_left_alone() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let (locker, connection) = (locker(&url).await, raw(&url).await);
    let name = unique("list");
    for key in [
        format!("lock:{name}"),
        format!("{{lock:{name}}}dlock:counter:lock:{name}"),
    ] {
        let _: u64 = send(&connection, &["RPUSH", &key, "x"]).await;
        let error = locker.lock(&name).acquire().await.unwrap_err();
        let rejected = matches!(
            &error,
            AcquireError::Store {
                source: StoreError::Rejected { .. },
                ..
            }
        );
        assert!(rejected, "{key}: {error}");
        println!("{error}");
        let elements: Vec<String> = send(&connection, &["LRANGE", &key, "0", "-1"]).await;
        assert_eq!(elements, ["x"]);
        let _: u64 = send(&connection, &["DEL", &key]).await;
        assert!(
            locker.inspect(&name).await.unwrap().is_none(),
            "an orphan is left"
        );
    }
}

struct RedisPy {
    process: Child,
    input: ChildStdin,
    output: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

const SCRIPT: &str = r#"
import sys, redis
client = redis.Redis.from_url(sys.argv[1])
locks = {}
for line in sys.stdin:
    verb, key, *rest = line.split()
    try:
        if verb == "acquire":
            timeout = None if rest[0] == "None" else float(rest[0])
            lock = client.lock(key, timeout=timeout, blocking=False)
            taken = lock.acquire()
            if not taken:
                lock.local.token = b"not the owner"
            locks[key] = lock
            print(taken, flush=True)
        else:
            locks[key].release()
            print("ok", flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
"#;

impl RedisPy {
    fn start(url: &str) -> Option<Self> {
        let python = std::env::var_os("DLOCK_TEST_REDIS_PY")?;
        let mut process = Command::new(python)
            .args(["-c", SCRIPT, url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("DLOCK_TEST_REDIS_PY names a Python");
        let input = process.stdin.take()?;
        let output = BufReader::new(process.stdout.take()?).lines();
        Some(Self {
            process,
            input,
            output,
        })
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        self.output.next().expect("an answer").unwrap()
    }
}

impl Drop for RedisPy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
