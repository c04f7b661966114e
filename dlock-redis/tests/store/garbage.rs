//! Servers that talk nonsense: a typed error within the timeouts, no panic, no hang.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dlock_core::fence::{FenceError, Stamped};
use dlock_core::store::{Attempt, LockStore, Release, Renewal, StoreError, Trail};
use dlock_core::{FencingToken, Grant};
use dlock_redis::{Error, RedisFence, RedisStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{PATIENCE, within};
use crate::{TTL, attempt_id, name, request};

const LIMIT: Duration = Duration::from_millis(150);

/// Answers the greeting (two CLIENT SETINFO) decently, and everything else with these bytes; then
/// closes the connection, or keeps silent.
async fn server_that_says(bytes: Vec<u8>, closes: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let mut received = vec![0; 65536];
                let mut greeting = true;
                while let Ok(1..) = stream.read(&mut received).await {
                    let answer = if greeting {
                        b"+OK\r\n+OK\r\n".to_vec()
                    } else {
                        bytes.clone()
                    };
                    if stream.write_all(&answer).await.is_err() || (closes && !greeting) {
                        return;
                    }
                    greeting = false;
                }
            });
        }
    });
    url
}

fn nonsense() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        "",
        "\r\n",
        "junk",
        "junk\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "+",
        "+OK\r\n",
        "-\r\n",
        "-ERR\r\n",
        "-ERR Connection timed out\r\n",
        "-ODD something\r\n",
        ":",
        ":x\r\n",
        ":-5\r\n",
        ":7\r\n",
        ":99999999999999999999\r\n",
        ":-9223372036854775808\r\n",
        "$-1\r\n",
        "$-2\r\n",
        "$5\r\nab",
        "$5\r\nabcdefg\r\n",
        "$9223372036854775807\r\nab",
        "$99999999999999999999999\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n",
        "*9223372036854775807\r\n",
        "*2147483647\r\n:1\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n:2\r\n",
        "*2\r\n:1\r\n:1\r\n",
        "_\r\n",
        ",nan\r\n",
        ",1e999\r\n",
        "#x\r\n",
        "#t\r\n",
        "(99999999999999999999999\r\n",
        "(\r\n",
        "=3\r\nabc\r\n",
        "!3\r\nabc\r\n",
        "!-1\r\n",
        "%9223372036854775807\r\n",
        "%-1\r\n",
        "%1\r\n:1\r\n:2\r\n",
        "|-1\r\n",
        "|1\r\n+a\r\n+b\r\n:1\r\n",
        "|9223372036854775807\r\n",
        "~-1\r\n",
        "~1\r\n:1\r\n",
        ">0\r\n",
        ">-1\r\n",
        ">1\r\n:1\r\n",
        ">2\r\n+message\r\n+x\r\n",
        "*2\r\n-ERR inner\r\n:1\r\n",
        "\u{0}\u{0}\u{0}",
        "é\r\n",
        "*2\r\n$7\r\ngranted\r\n$2\r\n-1\r\n",
        "*2\r\n$7\r\ngranted\r\n$1\r\n0\r\n",
        "*2\r\n$7\r\ngranted\r\n:5\r\n",
        "*2\r\n$7\r\ngranted\r\n$-1\r\n",
        "*2\r\n$7\r\ngranted\r\n$9\r\n1.785e+15\r\n",
        "*2\r\n$7\r\nearlier\r\n$19\r\n9223372036854775807\r\n",
        "*1\r\n$7\r\ngranted\r\n",
        "*3\r\n$4\r\nbusy\r\n:1\r\n:1\r\n",
        "*3\r\n$4\r\nbusy\r\n$1\r\nx\r\n$1\r\n1\r\n",
        "*2\r\n$5\r\nstale\r\n$1\r\nx\r\n",
        "*2\r\n$5\r\nstale\r\n$2\r\n-7\r\n",
        "*2\r\n$-1\r\n:1\r\n",
        "*2\r\n:5\r\n:5\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    all.push(b"*1\r\n".repeat(5000));
    all.push([&b"$1000000\r\n"[..], &[b'x'; 1_000_000], b"\r\n"].concat());
    all.push(vec![0xff; 1000]);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_a_typed_error() {
    let panics = count_panics();
    let cases = nonsense()
        .into_iter()
        .flat_map(|bytes| [(bytes.clone(), false), (bytes, true)]);
    futures_util::future::join_all(cases.map(|(bytes, closes)| async move {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let url = server_that_says(bytes, closes).await;
        let store = RedisStore::builder()
            .url(url)
            .response_timeout(LIMIT)
            .connect_timeout(LIMIT * 10)
            .lazy()
            .unwrap();
        within(PATIENCE, every_operation_fails(&store, &shown)).await;
    }))
    .await;
    assert_eq!(panics.load(Ordering::SeqCst), 0);
}

/// Nothing in `nonsense` is an answer to all steps; one that is right by chance must be harmless.
async fn every_operation_fails(store: &RedisStore, shown: &str) {
    let lock = name("nonsense");
    let grant = Grant {
        id: attempt_id(),
        token: FencingToken::new(7).unwrap(),
    };
    let fence = RedisFence::new(store, &lock).unwrap();

    let request = request(&lock);
    let attempt = store.attempt(&request).await;
    assert!(
        !matches!(attempt, Ok(Attempt::Granted(_))),
        "{shown:?}: {attempt:?}"
    );
    typed(shown, attempt);
    let renewals = vec![Renewal::new(lock.clone(), grant, TTL); 3];
    let answers = store.renew(&renewals).await;
    assert_eq!(answers.len(), 3, "{shown:?}");
    answers.into_iter().for_each(|answer| typed(shown, answer));
    let released = store
        .release(&lock, &Release::Attempt(grant.id, Trail::default()))
        .await;
    typed(shown, released);
    if let Ok(inspection) = store.inspect(&lock).await {
        // Right by chance: a free lock, or a foreign holder.
        assert!(
            inspection.is_none_or(|seen| seen.token.is_none()),
            "{shown:?}"
        );
    }
    typed(shown, store.force_release(&lock).await);
    for result in [
        fence.claim(&grant.stamp()).await,
        fence.set(&grant.stamp(), "data", "x").await,
    ] {
        assert!(
            matches!(result, Err(FenceError::Store(_))),
            "{shown:?}: {result:?}"
        );
    }
}

fn typed<T: std::fmt::Debug>(shown: &str, result: Result<T, StoreError>) {
    let Err(error) = result else {
        panic!("{shown:?} was taken for an answer: {result:?}")
    };
    let unknown_code = matches!(
        error,
        StoreError::Unavailable { .. } | StoreError::Indeterminate { .. }
    );
    assert!(unknown_code, "{shown:?}: {error:?}");
}

fn count_panics() -> Arc<AtomicU32> {
    let count = Arc::new(AtomicU32::new(0));
    let counter = count.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // Not those of other tests in this process: their threads have their names.
        let thread = std::thread::current();
        if thread
            .name()
            .is_none_or(|name| name.contains("garbage") || name.contains("tokio"))
        {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        before(info);
    }));
    count
}

#[tokio::test]
async fn a_server_that_says_nothing_at_all_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let connecting = RedisStore::builder()
        .url(url)
        .connect_timeout(LIMIT)
        .connect();
    let error = within(PATIENCE, connecting).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

/// Perhaps answers and commands are out of step: what comes next would be somebody else's answer.
#[tokio::test]
async fn after_a_senseless_answer_the_connection_is_not_used_again() {
    let url = server_that_says(b":7\r\n".to_vec(), false).await;
    let store = RedisStore::connect(url).await.unwrap();
    for generation in 1..4 {
        let request = request(&name("x"));
        typed(":7", store.attempt(&request).await);
        assert_eq!(request.trail.load(), generation);
    }
}
