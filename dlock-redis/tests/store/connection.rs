//! Connecting: once for all, with an injected connector, on a user's own connection.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dlock_core::fence::FenceError;
use dlock_core::store::{Attempt, LockStore, Release, StoreError};
use dlock_redis::redis::aio::MultiplexedConnection;
use dlock_redis::redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisResult};
use dlock_redis::{Connected, Connector, Error, RedisFence, RedisStore};
use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{PATIENCE, Server, raw, redis, unique, within};
use crate::{
    acquire, attempt_id, is_indeterminate, is_unavailable, name, own_server, release, request,
};

/// Connects as a simulator would: its own stream, and a driver that the store has to run.
#[derive(Clone)]
struct OwnStream {
    port: u16,
    connects: Arc<AtomicU32>,
    drivers: Arc<AtomicU32>,
}

impl OwnStream {
    fn to(server: &Server) -> Self {
        Self {
            port: server.port(),
            connects: Arc::default(),
            drivers: Arc::default(),
        }
    }
}

#[async_trait]
impl Connector for OwnStream {
    async fn connect(&self) -> RedisResult<Connected> {
        self.connects.fetch_add(1, Ordering::SeqCst);
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let (connection, driver) =
            MultiplexedConnection::new_with_config(&RedisConnectionInfo::default(), stream, config)
                .await?;
        let counted = Counted::one_more(&self.drivers);
        let driver = async move {
            driver.await;
            drop(counted);
        };
        Ok(Connected {
            connection,
            driver: Some(Box::pin(driver)),
        })
    }
}

#[tokio::test]
async fn many_callers_open_one_connection_whose_driver_ends_with_it() {
    let server = own_server!();
    let connector = OwnStream::to(&server);
    let store = RedisStore::builder()
        .connector(connector.clone())
        .lazy()
        .unwrap();
    assert_eq!(connector.connects.load(Ordering::SeqCst), 0, "lazy");
    let callers = (0..100).map(|_| {
        let (store, lock) = (store.clone(), name(unique("caller")));
        async move { acquire(&store, &lock).await }
    });
    futures_util::future::join_all(callers).await;
    assert_eq!(connector.connects.load(Ordering::SeqCst), 1);

    drop(store);
    drivers_end(&connector).await;
}

/// Also when it is stuck: the server reads nothing, and what is to be written does not fit.
#[tokio::test]
async fn a_stuck_driver_ends_with_its_connection() {
    let server = own_server!();
    let connector = OwnStream::to(&server);
    let limit = Duration::from_millis(200);
    let store = RedisStore::builder()
        .connector(connector.clone())
        .response_timeout(limit)
        .lazy()
        .unwrap();
    let lock = name("stuck");
    let grant = acquire(&store, &lock).await;
    server.freeze();
    let written = RedisFence::new(&store, &lock)
        .unwrap()
        .set(&grant, "data", vec![0; 30_000_000])
        .await;
    assert!(
        matches!(
            written,
            Err(FenceError::Store(StoreError::Indeterminate { .. }))
        ),
        "{written:?}"
    );
    drivers_end(&connector).await;
    server.thaw();
}

async fn drivers_end(connector: &OwnStream) {
    let gone = async {
        while connector.drivers.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    };
    within(PATIENCE, gone).await;
}

/// Counts what has not been dropped yet.
struct Counted(Arc<AtomicU32>);

impl Counted {
    fn one_more(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Fails, or never ends.
struct Broken {
    connects: Arc<AtomicU32>,
    hangs: bool,
}

#[async_trait]
impl Connector for Broken {
    async fn connect(&self) -> RedisResult<Connected> {
        self.connects.fetch_add(1, Ordering::SeqCst);
        match self.hangs {
            true => pending().await,
            false => Err(std::io::Error::other("no way").into()),
        }
    }
}

#[tokio::test]
async fn waiting_callers_share_one_failure() {
    let connects = Arc::new(AtomicU32::new(0));
    let connector = Broken {
        connects: connects.clone(),
        hangs: true,
    };
    let limit = Duration::from_millis(200);
    let store = RedisStore::builder()
        .connector(connector)
        .connect_timeout(limit)
        .lazy()
        .unwrap();
    let start = Instant::now();
    let callers = (0..50).map(|_| {
        let store = store.clone();
        async move { store.attempt(&request(&name("x"))).await }
    });
    for answer in futures_util::future::join_all(callers).await {
        assert!(is_unavailable(&answer), "{answer:?}");
    }
    assert!(
        start.elapsed() < limit * 20,
        "they took turns: {:?}",
        start.elapsed()
    );
    assert_eq!(connects.load(Ordering::SeqCst), 1);
}

/// A caller that gives up neither stops the others nor the connecting.
#[tokio::test]
async fn the_first_caller_cannot_cancel_the_connecting_for_the_others() {
    let server = own_server!();
    let connector = OwnStream::to(&server);
    let store = RedisStore::builder()
        .connector(connector.clone())
        .lazy()
        .unwrap();
    let (first, second) = (request(&name(unique("x"))), request(&name(unique("y"))));
    let mut first = store.attempt(&first);
    assert!((&mut first).now_or_never().is_none());
    let mut second = store.attempt(&second);
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    assert!(matches!(
        within(PATIENCE, second).await,
        Ok(Attempt::Granted(_))
    ));
    assert_eq!(connector.connects.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn failed_connects_back_off() {
    let connects = Arc::new(AtomicU32::new(0));
    let connector = Broken {
        connects: connects.clone(),
        hangs: false,
    };
    let store = RedisStore::builder().connector(connector).lazy().unwrap();
    let start = Instant::now();
    let mut asked = 0;
    while start.elapsed() < Duration::from_millis(300) {
        let answer = store.attempt(&request(&name("x"))).await;
        assert!(is_unavailable(&answer), "{answer:?}");
        assert!(answer.unwrap_err().to_string().contains("no way"));
        asked += 1;
        tokio::task::yield_now().await;
    }
    let connects = connects.load(Ordering::SeqCst);
    assert!(
        asked > 50 && (2..=6).contains(&connects),
        "{connects} connects for {asked} calls"
    );
}

struct Panics;

#[async_trait]
impl Connector for Panics {
    async fn connect(&self) -> RedisResult<Connected> {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn a_connector_that_panics_leaves_nobody_waiting() {
    let store = RedisStore::builder().connector(Panics).lazy().unwrap();
    let answer = within(PATIENCE, store.attempt(&request(&name("x")))).await;
    assert!(is_unavailable(&answer), "{answer:?}");
}

#[tokio::test]
async fn a_refused_connection_shows_at_connect() {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = RedisStore::connect(format!("redis://:hunter2@127.0.0.1:{port}/"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    let shown = error.to_string();
    assert!(
        shown.contains(&format!("127.0.0.1:{port}")) && shown.contains("refused"),
        "{shown}"
    );
    assert!(std::error::Error::source(&error).is_some());
    assert!(!format!("{error:?}").contains("hunter2"));
    let error = RedisStore::connect("http://127.0.0.1/").await.unwrap_err();
    assert!(matches!(error, Error::InvalidUrl { .. }), "{error:?}");
}

#[test]
fn outside_a_runtime_connecting_is_a_typed_error() {
    let connecting = RedisStore::connect("redis://127.0.0.1:1/");
    let error = connecting.now_or_never().unwrap().unwrap_err();
    assert!(matches!(error, Error::NoRuntime(_)), "{error:?}");
}

#[tokio::test]
async fn both_protocols_work() {
    let Some(url) = redis() else { return };
    for protocol in ["resp2", "resp3"] {
        let separator = if url.ends_with('/') { "" } else { "/" };
        let store = RedisStore::connect(format!("{url}{separator}?protocol={protocol}"))
            .await
            .unwrap();
        let lock = name(unique(protocol));
        assert_eq!(store.inspect(&lock).await.unwrap(), None);
        let grant = acquire(&store, &lock).await;
        assert!(matches!(
            store.attempt(&request(&lock)).await.unwrap(),
            Attempt::Busy { .. }
        ));
        assert_eq!(
            store.inspect(&lock).await.unwrap().unwrap().token,
            Some(grant.token)
        );
        crate::renew(&store, &lock, grant, crate::TTL * 2)
            .await
            .unwrap();
        assert!(release(&store, &lock, grant).await.unwrap().removed);
    }
}

#[tokio::test]
async fn senseless_settings_are_refused() {
    let builder = RedisStore::builder;
    for builder in [
        builder().connect_timeout(Duration::ZERO),
        builder().response_timeout(Duration::ZERO),
        builder().response_timeout(Duration::MAX),
        builder().counter_retention(Duration::ZERO),
        builder().counter_retention(Duration::MAX),
    ] {
        let error = builder.lazy().unwrap_err();
        assert!(matches!(error, Error::InvalidOption { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_users_connection_works() {
    let Some(url) = redis() else { return };
    let store = RedisStore::from_connection(raw(&url).await);
    let lock = name(unique("theirs"));
    let request = request(&lock);
    let grant = crate::granted(&store, &request).await.grant;
    assert_eq!(
        request.trail.load(),
        0,
        "an answered attempt leaves nothing behind"
    );
    let released = store
        .release(&lock, &Release::Grant(grant, request.trail.clone()))
        .await
        .unwrap();
    assert!(released.removed && released.settled);
    // With settings of one's own.
    let store = RedisStore::builder()
        .connection(raw(&url).await)
        .prefix("their:")
        .connect()
        .await
        .unwrap();
    let grant = acquire(&store, &lock).await;
    assert!(release(&store, &lock, grant).await.unwrap().removed);
}

/// R3: nobody can tell whether a user's connection was replaced meanwhile.
#[tokio::test]
async fn on_a_users_connection_an_unanswered_attempt_is_never_settled() {
    let server = own_server!();
    let connection = raw(&server.url()).await;
    let store = RedisStore::builder()
        .connection(connection)
        .response_timeout(Duration::from_millis(200))
        .lazy()
        .unwrap();
    let lock = name(unique("theirs"));
    let request = request(&lock);
    server.freeze();
    assert!(is_indeterminate(&store.attempt(&request).await));
    assert_eq!(request.trail.load(), u64::MAX);
    server.thaw();
    let unanswered = Release::Attempt(request.id, request.trail.clone());
    let released = within(PATIENCE, async {
        loop {
            if let Ok(released) = store.release(&lock, &unanswered).await {
                break released;
            }
        }
    })
    .await;
    assert!(!released.settled);
    let other = store
        .release(&lock, &Release::Attempt(attempt_id(), Default::default()))
        .await
        .unwrap();
    assert!(other.settled, "an attempt that sent nothing");
}
