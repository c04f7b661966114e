use std::time::Duration;

use etcd_client::{GetOptions, WatchOptions};

use super::support::{SECOND, refusal, roughly, run};

#[test]
fn a_member_that_is_cut_off_hangs_and_then_knows_no_leader() {
    run(|world| async move {
        let client = world.client("a", 1).await;
        client.kv_client().put("k", "", None).await.unwrap();
        world.cluster.isolate(1, true);
        let (put, took) = world.time(client.kv_client().put("k", "1", None)).await;
        assert_eq!(refusal(put), "etcdserver: request timed out");
        roughly(took, 7.0);
        let (put, took) = world.time(client.kv_client().put("k", "1", None)).await;
        assert_eq!(refusal(put), "etcdserver: no leader");
        roughly(took, 0.0);
        let mut kv = client.kv_client();
        assert_eq!(refusal(kv.get("k", None).await), "etcdserver: no leader");
        world.cluster.isolate(1, false);
        let read = kv.get("k", None).await.unwrap();
        assert_eq!(
            read.kvs()[0].value_str().unwrap(),
            "",
            "what was lost is lost"
        );
    });
}

#[test]
fn streams_that_want_a_leader_end_when_there_is_none_for_long() {
    run(|world| async move {
        let mut client = world.client("a", 1).await;
        let (_sender, mut stream) = client.watch("k", None).await.unwrap().split();
        assert!(stream.message().await.unwrap().unwrap().created());
        world.cluster.isolate(1, true);
        let (ended, took) = world.time(stream.message()).await;
        assert_eq!(refusal(ended), "etcdserver: no leader");
        assert!(took > 3 * SECOND && took < 5 * SECOND, "{took:?}");
    });
}

#[test]
fn a_write_waits_for_the_next_leader_and_a_read_is_told_to_ask_again() {
    run(|world| async move {
        let (a, b) = (world.client("a", 1).await, world.client("b", 2).await);
        let put = a.kv_client();
        put.clone().put("k", "1", None).await.unwrap();
        b.kv_client().get("k", None).await.unwrap();
        world.cluster.crash(0);
        world.sleep(Duration::from_millis(500)).await;
        // It goes to the dead leader.
        let (read, took) = world.time(b.kv_client().get("k", None)).await;
        assert_eq!(refusal(read), "etcdserver: leader changed");
        roughly(took, 0.5);
        assert_eq!(world.cluster.leader(), Some(1));
        world.cluster.change_leader(2);
        world.sleep(Duration::from_millis(900)).await;
        assert_eq!(world.cluster.leader(), None);
        world.sleep(Duration::from_millis(200)).await;
        assert_eq!(world.cluster.leader(), Some(2));
        let read = b.kv_client().get("k", None).await.unwrap();
        assert_eq!(read.kvs()[0].value_str().unwrap(), "1");
    });
}

#[test]
fn without_a_majority_nothing_is_decided() {
    run(|world| async move {
        let client = world.client("a", 0).await;
        world.cluster.partition(&[&[0], &[1], &[2]]);
        let put = client.kv_client().put("k", "", None).await;
        assert_eq!(refusal(put), "etcdserver: request timed out");
        assert_eq!(world.cluster.leader(), None);
        world.cluster.partition(&[&[0, 2], &[1]]);
        world.sleep(2 * SECOND).await;
        client.kv_client().put("k", "", None).await.unwrap();
        assert!(world.cluster.leader().is_some_and(|leader| leader != 1));
    });
}

#[test]
fn a_follower_is_behind() {
    run(|world| async move {
        let (a, b) = (world.client("a", 0).await, world.client("b", 2).await);
        world.cluster.lag(2, SECOND);
        let mut watching = world.client("b", 2).await;
        let (_sender, mut stream) = watching
            .watch("k", Some(WatchOptions::new()))
            .await
            .unwrap()
            .split();
        stream.message().await.unwrap();
        a.kv_client().put("k", "new", None).await.unwrap();
        let stale = GetOptions::new().with_serializable();
        let read = b.kv_client().get("k", Some(stale)).await.unwrap();
        assert_eq!(read.count(), 0);
        let (read, took) = world.time(b.kv_client().get("k", None)).await;
        assert_eq!(read.unwrap().count(), 1);
        roughly(took, 1.0);
        let told = stream.message().await.unwrap().unwrap();
        assert_eq!(told.events().len(), 1);
        let (put, took) = world.time(b.kv_client().put("k", "own", None)).await;
        put.unwrap();
        roughly(took, 1.0);
    });
}
