//! The server forgets scripts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dlock_core::store::{Expiry, LockStore, Renewal, Renewed};

use crate::support::{raw, send, unique};
use crate::{TTL, acquire, is_free, name, own_server, release, renew};

#[tokio::test]
async fn every_step_works_after_a_script_flush() {
    let server = own_server!();
    let store = dlock_redis::RedisStore::connect(server.url())
        .await
        .unwrap();
    let behind = raw(&server.url()).await;
    let lock = name(unique("flush"));
    let flush = async || send::<()>(&behind, &["SCRIPT", "FLUSH"]).await;
    flush().await;
    let grant = acquire(&store, &lock).await;
    flush().await;
    renew(&store, &lock, grant, TTL).await.unwrap();
    flush().await;
    assert!(!is_free(&store, &lock).await);
    flush().await;
    assert!(release(&store, &lock, grant).await.unwrap().removed);
    flush().await;
    assert!(!store.force_release(&lock).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_script_flushes_loses_no_renewal() {
    let server = own_server!();
    let store = dlock_redis::RedisStore::connect(server.url())
        .await
        .unwrap();
    let mut batch = Vec::new();
    for index in 0..1000 {
        let lock = name(format!("storm-{index}"));
        let grant = acquire(&store, &lock).await;
        batch.push(Renewal::new(lock, grant, TTL));
    }
    let over = Arc::new(AtomicBool::new(false));
    let storm = tokio::spawn({
        let (over, behind) = (over.clone(), raw(&server.url()).await);
        async move {
            let mut flushes = 0;
            while !over.load(Ordering::Relaxed) {
                send::<()>(&behind, &["SCRIPT", "FLUSH"]).await;
                flushes += 1;
            }
            flushes
        }
    });
    for _ in 0..10 {
        let rounds = batch.chunks(100).map(|chunk| store.renew(chunk));
        for answer in futures_util::future::join_all(rounds)
            .await
            .into_iter()
            .flatten()
        {
            assert_eq!(answer.unwrap(), Renewed::Until(Expiry::ByThisCall));
        }
    }
    over.store(true, Ordering::Relaxed);
    let flushes: u64 = storm.await.unwrap();
    assert!(flushes > 10, "that was no storm: {flushes} flushes");
    let unknown: String = send(&raw(&server.url()).await, &["INFO", "commandstats"]).await;
    assert!(
        unknown.contains("cmdstat_eval:"),
        "no renewal met a server without the script"
    );
}
