//! etcd forgets its history while somebody waits.

use dlock_core::Locker;
use dlock_etcd::EtcdStore;
use dlock_etcd::etcd_client::CompactionOptions;

use crate::support::{Member, PATIENCE, entries, raw, unique, until, within};

#[tokio::test]
async fn a_compaction_during_a_wait_does_no_harm() {
    let Some(member) = Member::start() else {
        return;
    };
    let endpoint = member.endpoint();
    let name = unique("compacted");
    let holder = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let others = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let mut guard = holder.lock(&name).acquire().await.unwrap();
    let client = raw(&endpoint).await;
    for round in 0..5 {
        let waiting = tokio::spawn({
            let lock = others.lock(&name);
            async move { lock.acquire().await }
        });
        until("it queues", || async {
            (entries(&client, &name).await.len() == 2).then_some(())
        })
        .await;
        // Much happens elsewhere, and all of it is forgotten.
        let mut revision = 0;
        for index in 0..50 {
            let mut kv = client.kv_client();
            let put = kv.put("elsewhere", format!("{round} {index}"), None);
            revision = put.await.unwrap().header().unwrap().revision();
        }
        let physical = CompactionOptions::new().with_physical();
        client
            .kv_client()
            .compact(revision, Some(physical))
            .await
            .unwrap();
        guard.check().unwrap();
        guard.release().await.unwrap();
        guard = within(PATIENCE, waiting).await.unwrap().unwrap();
    }
    guard.release().await.unwrap();
    holder.close().await;
    others.close().await;
}
