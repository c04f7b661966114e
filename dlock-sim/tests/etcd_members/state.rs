use etcd_client::WatchOptions;

use super::support::{SECOND, run};

#[test]
fn a_restored_snapshot_takes_revisions_back_or_far_ahead() {
    run(|world| async move {
        let client = world.client("a", 0).await;
        let mut kv = client.kv_client();
        kv.put("k", "old", None).await.unwrap();
        let lease = client.lease_client().grant(60, None).await.unwrap().id();
        let snapshot = world.cluster.take_snapshot();
        for _ in 0..5 {
            kv.put("k", "new", None).await.unwrap();
        }
        client.lease_client().revoke(lease).await.unwrap();
        assert_eq!(world.cluster.revision(), 7);
        world.cluster.restore(&snapshot, false);
        assert_eq!(world.cluster.revision(), 2);
        assert_eq!(world.cluster.leases(), [lease]);
        world.sleep(2 * SECOND).await;
        let read = client.kv_client().get("k", None).await.unwrap();
        assert_eq!(read.kvs()[0].value_str().unwrap(), "old");
        world.cluster.restore(&snapshot, true);
        assert_eq!(world.cluster.revision(), 1_000_000_002);
    });
}

#[test]
fn a_watcher_that_begins_before_a_compaction_is_ended() {
    run(|world| async move {
        let client = world.client("a", 1).await;
        let mut kv = client.kv_client();
        for value in ["1", "2", "3"] {
            kv.put("k", value, None).await.unwrap();
        }
        assert!(world.cluster.compact(4));
        let mut watching = client.watch_client();
        let options = WatchOptions::new().with_start_revision(2).with_watch_id(5);
        let stream = watching.watch("k", Some(options)).await.unwrap();
        let (_sender, mut stream) = stream.split();
        assert!(stream.message().await.unwrap().unwrap().created());
        let told = stream.message().await.unwrap().unwrap();
        assert!(told.canceled());
        assert_eq!((told.watch_id(), told.compact_revision()), (5, 4));
    });
}

/// A member that was away while others compacted has the changes themselves in its log.
#[test]
fn a_watcher_misses_nothing_while_its_member_is_away() {
    run(|world| async move {
        let (a, mut b) = (world.client("a", 0).await, world.client("b", 2).await);
        let (_sender, mut stream) = b.watch("k", None).await.unwrap().split();
        stream.message().await.unwrap();
        world.cluster.isolate(2, true);
        for value in ["1", "2"] {
            a.kv_client().put("k", value, None).await.unwrap();
        }
        world.cluster.compact(world.cluster.revision());
        world.cluster.isolate(2, false);
        for value in ["1", "2"] {
            let told = stream.message().await.unwrap().unwrap();
            let kv = told.events()[0].kv().unwrap();
            assert_eq!(kv.value_str().unwrap(), value);
        }
    });
}
