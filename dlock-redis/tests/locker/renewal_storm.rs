use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::support::{Server, raw, send};
use crate::{SECOND, locker};

/// `SCRIPT FLUSH` while 1,000 leases are renewed: none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed_scripts_lose_no_lease() {
    let Some(server) = Server::start() else {
        return;
    };
    let locker = locker(&server.url()).await;
    let mut guards = Vec::new();
    for number in 0..1_000 {
        guards.push(
            locker
                .lock(format!("a{number}"))
                .ttl(3 * SECOND)
                .acquire()
                .await
                .unwrap(),
        );
    }
    let (done, flushes) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let flushing = tokio::spawn({
        let (connection, done, flushes) = (raw(&server.url()).await, done.clone(), flushes.clone());
        async move {
            while !done.load(Ordering::Acquire) {
                let _: String = send(&connection, &["SCRIPT", "FLUSH"]).await;
                flushes.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    // Two TTLs: every lease lives by its renewals alone. An event with a bound: the last guard's
    // deadline has moved past what its first TTL allowed, twice.
    tokio::time::timeout(6 * SECOND, guards[999].ended())
        .await
        .expect_err("no lease ends");
    done.store(true, Ordering::Release);
    flushing.await.unwrap();
    let lost = guards.iter().filter(|guard| guard.check().is_err()).count();
    println!(
        "{} flushes, {lost} of 1,000 leases lost",
        flushes.load(Ordering::Relaxed)
    );
    assert_eq!(lost, 0);
    assert!(flushes.load(Ordering::Relaxed) > 100);
    drop(guards);
    assert_eq!(locker.close().await.unfinished, 0);
}
