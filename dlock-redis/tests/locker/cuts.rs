use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dlock_core::fence::Fenced;

use crate::proxy::Proxy;
use crate::support::{PATIENCE, Server, unique, within};
use crate::{SECOND, locker};

/// Every connection is cut each 200 ms for 20 s: no update is lost, nobody waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_no_update_and_strand_no_waiter() {
    let Some(server) = Server::start() else {
        return;
    };
    let proxy = Arc::new(Proxy::to(server.port()).await);
    let name = unique("cuts");
    let counter = Arc::new(Fenced::new(0u64));
    let (done, acknowledged, stale) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut workers = Vec::new();
    for _ in 0..8 {
        let (locker, name, counter) = (locker(&proxy.url()).await, name.clone(), counter.clone());
        let (done, acknowledged, stale) = (done.clone(), acknowledged.clone(), stale.clone());
        workers.push(tokio::spawn(async move {
            let mut rounds = 0u64;
            while !done.load(Ordering::Acquire) {
                let Ok(guard) = locker
                    .lock(&name)
                    .ttl(2 * SECOND)
                    .wait(PATIENCE)
                    .acquire()
                    .await
                else {
                    panic!("a worker was stranded after {rounds} rounds");
                };
                let Ok(value) = counter.claim(&guard) else {
                    stale.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                // Others run between the read and the write: without the lock, updates would be lost.
                tokio::task::yield_now().await;
                match counter.write(&guard, value + 1) {
                    Ok(()) => acknowledged.fetch_add(1, Ordering::Relaxed),
                    Err(_) => stale.fetch_add(1, Ordering::Relaxed),
                };
                let _ = guard.release().await;
                rounds += 1;
            }
            locker.close().await;
            rounds
        }));
    }
    let mut cuts = 0;
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    while cuts < 100 {
        beat.tick().await;
        proxy.cut_all();
        cuts += 1;
    }
    done.store(true, Ordering::Release);
    let mut rounds = Vec::new();
    for worker in workers {
        rounds.push(within(2 * PATIENCE, worker).await.unwrap());
    }
    let (counted, acknowledged) = (counter.read(), acknowledged.load(Ordering::Relaxed));
    println!(
        "{cuts} cuts of {} connections; {counted} increments, {acknowledged} acknowledged, {} stale refused; rounds {rounds:?}",
        proxy.connections(),
        stale.load(Ordering::Relaxed)
    );
    assert_eq!(counted, acknowledged);
    assert!(proxy.connections() > 100, "the cuts met connections");
    assert!(
        rounds.iter().all(|rounds| *rounds > 0),
        "everybody got on: {rounds:?}"
    );
}
