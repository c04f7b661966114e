//! Very many who wait for one lock.

use dlock_core::Locker;
use dlock_etcd::EtcdStore;

use crate::support::{Member, PATIENCE, entries, metric, raw, until, within};

const CROWD: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_gets_its_turns_and_a_release_wakes_few() {
    let Some(member) = Member::start() else {
        return;
    };
    let endpoint = member.endpoint();
    let holder = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let guard = holder.lock("crowd").acquire().await.unwrap();
    let lockers = [
        Locker::new(EtcdStore::connect([&endpoint]).await.unwrap()),
        Locker::new(EtcdStore::connect([&endpoint]).await.unwrap()),
    ];
    let waiting: Vec<_> = (0..CROWD)
        .map(|index| {
            let lock = lockers[index % 2].lock("crowd");
            tokio::spawn(async move {
                let guard = lock.acquire().await.unwrap();
                let attempts = guard.attempts();
                guard.release().await.unwrap();
                attempts
            })
        })
        .collect();
    let client = raw(&endpoint).await;
    until("all stand in the queue", || async {
        (entries(&client, "crowd").await.len() == CROWD + 1).then_some(())
    })
    .await;
    // Until all have looked at who stands before them: three watches each.
    until("all watch", || async {
        let watches = metric(&endpoint, "etcd_debugging_mvcc_watcher_total", "").await;
        (watches >= 3.0 * CROWD as f64 - 3.0).then_some(())
    })
    .await;
    let requests = async || metric(&endpoint, "grpc_server_handled_total", "\"KV\"").await;
    let before = requests().await;
    guard.release().await.unwrap();
    let mut attempts = 0;
    for one in waiting {
        attempts += within(4 * PATIENCE, one).await.unwrap();
    }
    let each = (requests().await - before) / CROWD as f64;
    println!(
        "{each:.2} requests for each turn, {:.2} attempts",
        f64::from(attempts) / CROWD as f64
    );
    // Taking the lock and releasing it, and a look now and then: nobody wakes the crowd.
    assert!(each < 5.0, "{each} requests for each turn");
    for locker in lockers {
        locker.close().await;
    }
    holder.close().await;
}
