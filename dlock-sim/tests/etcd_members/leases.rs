use std::time::Duration;

use etcd_client::{Client, PutOptions};

use super::support::{SECOND, World, refusal, roughly, run};

/// A key under a new lease.
async fn held(client: &Client, ttl: i64) -> i64 {
    let id = client.lease_client().grant(ttl, None).await.unwrap().id();
    let options = PutOptions::new().with_lease(id);
    client
        .kv_client()
        .put("held", "", Some(options))
        .await
        .unwrap();
    id
}

async fn gone(world: &World) -> Duration {
    let began = world.now();
    while !world.cluster.keys(b"held").is_empty() {
        world.sleep(Duration::from_millis(10)).await;
    }
    world.now() - began
}

#[test]
fn a_new_leader_gives_every_lease_its_whole_time_again() {
    run(|world| async move {
        let client = world.client("a", 1).await;
        held(&client, 10).await;
        world.sleep(9 * SECOND).await;
        world.cluster.crash(0);
        // An election timeout, the TTL, and what the old leader may have promised meanwhile.
        let took = gone(&world).await;
        assert!(took >= 12 * SECOND && took < 13 * SECOND, "{took:?}");
    });
}

#[test]
fn the_leaders_clock_decides() {
    run(|world| async move {
        let client = world.client("a", 1).await;
        world.cluster.set_clock_rate(0, 1_000_000_000);
        held(&client, 10).await;
        let took = gone(&world).await;
        assert!(took >= 5 * SECOND && took < 6 * SECOND, "{took:?}");
    });
}

#[test]
fn a_keepalive_that_comes_too_late_waits_for_the_revocation() {
    run(|world| async move {
        let client = world.client("a", 1).await;
        let id = held(&client, 2).await;
        // Ended, and not revoked before 2.5 s.
        world.sleep(Duration::from_millis(2100)).await;
        assert_eq!(world.cluster.keys(b"held").len(), 1);
        let kept = client.lease_client().keep_alive(id).await;
        assert!(refusal(kept).contains("lease not found"));
        assert!(world.cluster.keys(b"held").is_empty());
    });
}

/// etcd issue 15247.
#[test]
fn a_leader_that_was_stuck_revokes_what_its_successor_has_renewed() {
    run(|world| async move {
        let client = world.client("a", 1).await;
        let id = held(&client, 5).await;
        world.cluster.stall_disk(0, true);
        for _ in 0..8 {
            world.sleep(SECOND).await;
            let mut lease = client.lease_client();
            lease.keep_alive(id).await.unwrap();
        }
        assert_eq!(world.cluster.leader(), Some(1));
        world.cluster.stall_disk(0, false);
        roughly(gone(&world).await, 0.0);
    });
}

/// The other side of it: what it promises meanwhile, its successor does not know.
#[test]
fn a_leader_that_is_stuck_keeps_alive_what_will_be_revoked() {
    run(|world| async move {
        let client = world.client("a", 0).await;
        let id = held(&client, 5).await;
        world.cluster.stall_disk(0, true);
        let gone = gone(&world);
        let keeping = async {
            loop {
                world.sleep(SECOND).await;
                let mut lease = client.lease_client();
                lease.keep_alive(id).await.unwrap();
            }
        };
        let took = match dlock_core::runtime::race(gone, keeping).await {
            dlock_core::runtime::Race::First(took) => took,
            dlock_core::runtime::Race::Second(never) => never,
        };
        assert!(took >= 7 * SECOND && took < 8 * SECOND, "{took:?}");
    });
}

#[test]
fn a_leader_that_is_cut_off_answers_until_it_steps_down() {
    run(|world| async move {
        let client = world.client("a", 0).await;
        let id = held(&client, 60).await;
        world.cluster.isolate(0, true);
        world.sleep(Duration::from_millis(900)).await;
        client.lease_client().keep_alive(id).await.unwrap();
        world.sleep(Duration::from_millis(200)).await;
        let kept = client.lease_client().keep_alive(id).await;
        assert_eq!(refusal(kept), "etcdserver: no leader");
    });
}

#[test]
fn an_operator_revokes() {
    run(|world| async move {
        let client = world.client("a", 0).await;
        let id = held(&client, 60).await;
        assert_eq!(world.cluster.leases(), [id]);
        assert!(world.cluster.revoke_lease(id));
        assert!(!world.cluster.revoke_lease(id));
        assert!(world.cluster.keys(b"held").is_empty());
    });
}
