use dlock_core::store::StoreError;
use dlock_core::{AcquireError, Ended, Locker, LossCause};
use dlock_redis::RedisStore;

use crate::support::{PATIENCE, Server, raw, send, unique, within};
use crate::{SECOND, acquire, locker};

/// `store-down`: the server is down when acquire is called, with a budget of 3 s.
#[tokio::test]
async fn a_dead_server_is_a_typed_error_within_the_budget() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let warm = locker(&server.url()).await;
    let cold = Locker::new(RedisStore::builder().url(server.url()).lazy().unwrap());
    server.kill();
    for locker in [warm, cold] {
        let acquire = locker.lock("a").wait(3 * SECOND).acquire();
        // Twice the budget: whether it is kept to the millisecond is tested in virtual time.
        let error = within(6 * SECOND, acquire).await.unwrap_err();
        let down = matches!(
            &error,
            AcquireError::Store {
                // Over a connection that had been open, the first request may have arrived.
                source: StoreError::Unavailable { .. } | StoreError::Indeterminate { .. },
                ..
            }
        );
        assert!(down, "{error}");
        println!("{error}");
        within(6 * SECOND, locker.lock("a").try_acquire())
            .await
            .unwrap_err();
    }
}

/// A connection that was cut while nobody used it: the holder need not know.
#[tokio::test]
async fn a_release_survives_a_connection_that_was_cut_while_idle() {
    let Some(server) = Server::start() else {
        return;
    };
    let locker = locker(&server.url()).await;
    let behind = raw(&server.url()).await;
    for _ in 0..10 {
        let guard = acquire(&locker, "a", 60 * SECOND).await;
        let words = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
        let killed: u64 = send(&behind, &words).await;
        assert_eq!(killed, 1);
        guard.release().await.unwrap();
        assert_eq!(locker.inspect("a").await.unwrap(), None);
    }
}

/// The same, but the server has forgotten the lock and somebody else has it: no release says Ok.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_on_a_server_restarted_empty_does_not_hide_the_loss() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let (first, second) = (locker(&server.url()).await, locker(&server.url()).await);
    let guard = acquire(&first, "a", 60 * SECOND).await;
    server.restart_empty();
    let successor = acquire(&second, "a", 60 * SECOND).await;
    guard.release().await.unwrap_err();
    successor.check().unwrap();
    assert!(second.inspect("a").await.unwrap().is_some());
}

/// The server answers nothing: the same, and the attempt is cleaned up when it runs again.
#[tokio::test]
async fn a_frozen_server_is_a_typed_error_within_the_budget() {
    let Some(server) = Server::start() else {
        return;
    };
    let locker = locker(&server.url()).await;
    acquire(&locker, "a", SECOND).await.release().await.unwrap();
    server.freeze();
    let error = within(6 * SECOND, locker.lock("a").wait(3 * SECOND).acquire())
        .await
        .unwrap_err();
    let silent = matches!(
        &error,
        AcquireError::Store {
            source: StoreError::Indeterminate { .. } | StoreError::Unavailable { .. },
            ..
        }
    );
    assert!(silent, "{error}");
    server.thaw();
    // What was sent to the frozen server runs now, and is released again.
    acquire(&locker, "a", SECOND).await.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_restarted_empty_costs_the_lease_and_nothing_else() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let (holding, waiting) = (locker(&server.url()).await, locker(&server.url()).await);
    let name = unique("restart");
    let guard = acquire(&holding, &name, 6 * SECOND).await;
    let token = guard.token();
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let acquire = waiting
                .lock(&name)
                .ttl(6 * SECOND)
                .wait(2 * PATIENCE)
                .acquire();
            tokio::spawn(async move {
                let guard = acquire.await.unwrap();
                let token = guard.token();
                let _ = guard.release().await;
                token
            })
        })
        .collect();
    server.restart_empty();
    let ended = within(PATIENCE, guard.ended()).await;
    assert!(
        matches!(
            ended,
            Ended::Lost(LossCause::NotOwner | LossCause::Unreachable)
        ),
        "{ended:?}"
    );
    guard.check().unwrap_err();
    let mut tokens = vec![token];
    for waiter in waiters {
        tokens.push(within(2 * PATIENCE, waiter).await.unwrap());
    }
    tokens[1..].sort();
    println!("lost: {ended:?}; tokens {tokens:?}");
    assert!(
        tokens.is_sorted_by(|a, b| a < b),
        "tokens still rise: {tokens:?}"
    );
}
