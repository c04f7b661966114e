use std::time::Duration;

use dlock_core::runtime::{Race, race};

use super::support::{SECOND, run};

#[test]
fn a_frozen_member_takes_bytes_and_does_nothing_until_it_goes_on() {
    run(|world| async move {
        let client = world.client("a", 1).await;
        client.kv_client().put("k", "1", None).await.unwrap();
        world.cluster.freeze(1, true);
        let mut kv = client.kv_client();
        let put = kv.put("k", "2", None);
        let Race::Second(()) = race(put, world.sleep(3 * SECOND)).await else {
            panic!("a frozen member has answered");
        };
        // The client has given up. Its request was in the pipe, and is carried out.
        world.cluster.freeze(1, false);
        world.sleep(SECOND).await;
        client.kv_client().put("other", "", None).await.unwrap();
        let read = client.kv_client().get("k", None).await.unwrap();
        assert_eq!(read.kvs()[0].value_str().unwrap(), "2");
    });
}

#[test]
fn a_request_that_is_under_way_is_applied_though_its_client_has_gone() {
    run(|world| async move {
        let client = world.client("a", 1).await;
        client.kv_client().put("k", "1", None).await.unwrap();
        world.cluster.slow(0, SECOND);
        let mut kv = client.kv_client();
        let put = kv.put("k", "2", None);
        let Race::Second(()) = race(put, world.sleep(Duration::from_millis(500))).await else {
            panic!("a slow leader has answered");
        };
        world.sleep(SECOND).await;
        world.cluster.slow(0, Duration::ZERO);
        let read = client.kv_client().get("k", None).await.unwrap();
        assert_eq!(read.kvs()[0].value_str().unwrap(), "2");
    });
}

#[test]
fn a_killed_member_ends_its_connections_and_catches_up_when_it_is_back() {
    run(|world| async move {
        let (a, b) = (world.client("a", 0).await, world.client("b", 1).await);
        let mut watching = world.client("b", 1).await;
        let (_sender, mut stream) = watching.watch("k", None).await.unwrap().split();
        stream.message().await.unwrap();
        world.cluster.crash(1);
        assert!(stream.message().await.is_err());
        assert!(b.kv_client().get("k", None).await.is_err());
        a.kv_client().put("k", "1", None).await.unwrap();
        world.cluster.restart(1);
        let read = b.kv_client().get("k", None).await.unwrap();
        assert_eq!(read.count(), 1);
    });
}

#[test]
fn a_frozen_leader_is_replaced_and_follows_when_it_goes_on() {
    run(|world| async move {
        let client = world.client("a", 2).await;
        world.cluster.freeze(0, true);
        world.sleep(2 * SECOND).await;
        client.kv_client().put("k", "1", None).await.unwrap();
        world.cluster.freeze(0, false);
        let through = world.client("b", 0).await;
        let read = through.kv_client().get("k", None).await.unwrap();
        assert_eq!(read.count(), 1);
        assert_ne!(world.cluster.leader(), Some(0));
    });
}
