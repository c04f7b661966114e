//! Servers that stop answering, and come back: R3 and R4.

use std::future::Future;
use std::time::{Duration, Instant};

use dlock_core::store::{Attempt, LockStore, Release, StoreError};
use dlock_redis::RedisStore;

use crate::support::{PATIENCE, Server, raw, send, unique, within};
use crate::{
    acquire, granted, is_free, is_indeterminate, is_unavailable, name, own_server, release, request,
};

const LIMIT: Duration = Duration::from_millis(500);

async fn impatient(server: &Server) -> RedisStore {
    RedisStore::builder()
        .url(server.url())
        .response_timeout(LIMIT)
        .connect_timeout(LIMIT)
        .connect()
        .await
        .unwrap()
}

/// Polls a future for a moment and drops it, as a caller does that gives up.
async fn give_up<F: Future>(future: F) -> Option<F::Output> {
    tokio::time::timeout(Duration::from_millis(30), future)
        .await
        .ok()
}

/// Repeats until it works.
async fn until_granted(store: &RedisStore, lock: &dlock_core::LockName) {
    let again = async {
        while !matches!(store.attempt(&request(lock)).await, Ok(Attempt::Granted(_))) {
            tokio::task::yield_now().await;
        }
    };
    within(PATIENCE, again).await;
}

#[tokio::test]
async fn silence_is_indeterminate_within_the_response_timeout() {
    let server = own_server!();
    let store = impatient(&server).await;
    let lock = name(unique("frozen"));
    server.freeze();
    let start = Instant::now();
    let answer = store.attempt(&request(&lock)).await;
    assert!(is_indeterminate(&answer), "{answer:?}");
    assert!(
        start.elapsed() >= LIMIT && start.elapsed() < LIMIT * 5,
        "{:?}",
        start.elapsed()
    );
    // The connection is retired, and a new one gets no answer either: nothing was sent.
    let answer = store.attempt(&request(&lock)).await;
    assert!(is_unavailable(&answer), "{answer:?}");
    server.thaw();
}

/// R3: a SET sent to a stopped server runs when it resumes, although its socket is closed. So "not
/// there" on another connection is not final.
#[tokio::test]
async fn a_release_on_another_connection_is_not_final() {
    let server = own_server!();
    let store = impatient(&server).await;
    let lock = name(unique("late"));
    let request = request(&lock);
    server.freeze();
    assert!(is_indeterminate(&store.attempt(&request).await));
    assert_eq!(request.trail.load(), 1, "sent over the first connection");
    server.thaw();
    let released = within(PATIENCE, async {
        loop {
            match store
                .release(&lock, &Release::Attempt(request.id, request.trail.clone()))
                .await
            {
                Ok(released) => break released,
                Err(error) => assert!(
                    matches!(
                        error,
                        StoreError::Unavailable { .. } | StoreError::Indeterminate { .. }
                    ),
                    "{error}"
                ),
            }
        }
    })
    .await;
    assert!(!released.settled, "the late SET may still arrive");

    // A second try over yet another connection does not make it better.
    let again = store.attempt(&request).await.unwrap();
    let Attempt::Granted(again) = again else {
        panic!("{again:?}")
    };
    let released = store
        .release(&lock, &Release::Grant(again.grant, request.trail.clone()))
        .await
        .unwrap();
    assert!(released.removed && !released.settled);
    assert!(is_free(&store, &lock).await);
}

/// R4: the future is dropped while the server does not answer; the release on the same connection
/// is processed after it, whatever became of it.
#[tokio::test]
async fn a_release_after_a_cancelled_attempt_on_one_connection_is_final() {
    let server = own_server!();
    let store = RedisStore::connect(server.url()).await.unwrap();
    // From here on the server knows the script: it grants what it reads, also long after.
    acquire(&store, &name("first")).await;
    for _ in 0..20 {
        let lock = name(unique("cancelled"));
        let request = request(&lock);
        server.freeze();
        assert!(give_up(store.attempt(&request)).await.is_none());
        assert_ne!(request.trail.load(), 0);
        server.thaw();
        let released = store
            .release(&lock, &Release::Attempt(request.id, request.trail.clone()))
            .await
            .unwrap();
        assert!(released.settled && released.removed, "{released:?}");
        assert!(is_free(&store, &lock).await);
    }
}

/// Every caller is more impatient than the store: somebody must notice all the same.
#[tokio::test]
async fn a_dead_connection_is_noticed_although_every_caller_gives_up_early() {
    let server = own_server!();
    let store = impatient(&server).await;
    let lock = name(unique("black-hole"));
    server.freeze();
    let noticed = async {
        // Unavailable comes from a new connection only.
        while !matches!(
            give_up(store.attempt(&request(&lock))).await,
            Some(Err(StoreError::Unavailable { .. }))
        ) {}
    };
    within(PATIENCE, noticed).await;
    server.thaw();
    // What was sent before the freeze may have been granted on resume.
    let freed = async {
        while store.force_release(&lock).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within(PATIENCE, freed).await;
}

#[tokio::test]
async fn an_answered_probe_keeps_the_connection() {
    let server = own_server!();
    let store = RedisStore::connect(server.url()).await.unwrap();
    server.freeze();
    for _ in 0..100 {
        drop(futures_util::future::FutureExt::now_or_never(
            store.attempt(&request(&name("x"))),
        ));
    }
    server.thaw();
    let request = request(&name(unique("probe")));
    granted(&store, &request).await;
    let clients: String = send(&raw(&server.url()).await, &["CLIENT", "LIST"]).await;
    assert_eq!(clients.lines().count(), 2, "{clients}");
    let stats: String = send(&raw(&server.url()).await, &["INFO", "commandstats"]).await;
    let pings = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_ping:calls="))
        .unwrap();
    let pings: u32 = pings.split(',').next().unwrap().parse().unwrap();
    assert!(pings <= 4, "{pings} probes for one connection");
}

#[tokio::test]
async fn a_killed_server_is_an_error_and_a_restarted_one_is_used_again() {
    let mut server = own_server!();
    let store = impatient(&server).await;
    let lock = name(unique("killed"));
    let grant = acquire(&store, &lock).await;
    server.kill();
    for _ in 0..5 {
        let answer = store.attempt(&request(&lock)).await;
        assert!(
            is_unavailable(&answer) || is_indeterminate(&answer),
            "{answer:?}"
        );
    }
    server.restart_empty();
    until_granted(&store, &lock).await;
    assert!(!release(&store, &lock, grant).await.unwrap().removed);
}

#[tokio::test]
async fn a_connection_killed_by_the_operator_is_replaced() {
    let server = own_server!();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let behind = raw(&server.url()).await;
    for _ in 0..10 {
        let lock = name(unique("kill"));
        acquire(&store, &lock).await;
        let _: i64 = send(
            &behind,
            &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
        )
        .await;
        until_granted(&store, &name(unique("kill"))).await;
        assert!(!is_free(&store, &lock).await);
    }
}

#[tokio::test]
async fn a_closed_store_connects_again_when_it_is_used() {
    let server = own_server!();
    let store = RedisStore::connect(server.url()).await.unwrap();
    store.close().await;
    let behind = raw(&server.url()).await;
    let gone = async {
        while send::<String>(&behind, &["CLIENT", "LIST"])
            .await
            .lines()
            .count()
            > 1
        {
            tokio::task::yield_now().await;
        }
    };
    within(PATIENCE, gone).await;
    acquire(&store, &name(unique("closed"))).await;
}
