use std::sync::Arc;

use dlock_core::{LockName, Locker};
use dlock_etcd::EtcdStore;
use dlock_sim::trace::Kind;
use etcd_client::PutOptions;

use super::support::{SECOND, World, run};

async fn locker(world: &World, name: &str, member: usize) -> Locker {
    let store = EtcdStore::builder()
        .client(world.client(name, member).await)
        .runtime(world.runtime.clone())
        .lazy()
        .unwrap();
    Locker::builder(store)
        .runtime(world.runtime.clone())
        .build()
        .unwrap()
}

#[test]
fn a_grant_a_renewal_and_a_release_are_the_clients() {
    run(|world| async move {
        let locker = locker(&world, "client-a", 1).await;
        let name = LockName::new("a/b%").unwrap();
        let guard = locker
            .lock(name.as_str())
            .ttl(9 * SECOND)
            .acquire()
            .await
            .unwrap();
        let (hash, token) = (guard.grant().hash().to_string(), guard.token().value());
        world.sleep(10 * SECOND).await;
        guard.release().await.unwrap();
        let told = world.authority();
        assert_eq!(told[0], "0.0 a/b% begins until 9.0 by client-a");
        assert!(told[1].contains("moved until 12.") && told[1].ends_with("by client-a"));
        assert!(told.last().unwrap().ends_with("ends: Removed by client-a"));
        for event in world.recorder.events() {
            if let Kind::AuthorityBegins {
                attempt,
                token: told,
                ..
            } = event.kind
            {
                assert_eq!((attempt, told), (Some(hash.clone()), Some(token)));
                assert_eq!(event.node, "cluster");
            }
        }
    });
}

#[test]
fn who_waits_has_no_authority_before_it_has_taken_the_lock() {
    run(|world| async move {
        let (a, b) = (
            locker(&world, "client-a", 0).await,
            Arc::new(locker(&world, "client-b", 2).await),
        );
        let first = a.lock("n").acquire().await.unwrap();
        let waiting = b.lock("n").acquire();
        let handing_over = async {
            world.sleep(3 * SECOND).await;
            first.release().await.unwrap();
        };
        let (second, ()) = futures_util::future::join(waiting, handing_over).await;
        second.unwrap().release().await.unwrap();
        let told: Vec<_> = world.authority();
        let told: Vec<_> = told.iter().filter(|one| !one.contains(" moved ")).collect();
        assert!(told[0].ends_with("by client-a") && told[0].contains("begins"));
        assert_eq!(told[1], "3.0 n ends: Removed by client-a");
        assert!(told[2].starts_with("3.0 n begins") && told[2].ends_with("by client-b"));
        assert_eq!(told[3], "3.0 n ends: Removed by client-b");
        assert_eq!(told.len(), 4);
    });
}

#[test]
fn each_end_has_its_reason() {
    run(|world| async move {
        let client = world.client("client-a", 0).await;
        let mut kv = client.kv_client();
        let lease = client.lease_client().grant(5, None).await.unwrap().id();
        let under = || PutOptions::new().with_lease(lease);
        kv.put("lock/expired/1", "", Some(under())).await.unwrap();
        kv.put("lock/dropped/1", "", None).await.unwrap();
        kv.put("lock/removed/1", "", None).await.unwrap();
        let value = |digit: char| {
            let id = String::from(digit).repeat(32);
            format!("dlock1 holding {id} ")
        };
        kv.put("lock/replaced/1", value('1'), None).await.unwrap();
        kv.put("lock/replaced/1", value('2'), None).await.unwrap();
        kv.delete("lock/removed/1", None).await.unwrap();
        world.cluster.delete_key("lock/dropped/1");
        world.sleep(6 * SECOND).await;
        let snapshot = world.cluster.take_snapshot();
        kv.put("lock/lost/1", "", None).await.unwrap();
        world.cluster.restore(&snapshot, false);
        let told = world.authority();
        for (lock, end) in [
            ("expired", "Expired by nobody"),
            ("dropped", "Dropped by nobody"),
            ("removed", "Removed by client-a"),
            ("replaced", "Replaced by client-a"),
            ("lost", "Lost by nobody"),
        ] {
            let ends: Vec<_> = told
                .iter()
                .filter(|one| one.contains(&format!("{lock} ends")))
                .collect();
            assert_eq!(ends.len(), 1, "{lock}: {told:#?}");
            assert!(ends[0].ends_with(end), "{ends:?}");
        }
        // Looked for every half second.
        assert!(told.iter().any(|one| one.starts_with("5.5 expired ends")));
    });
}

#[test]
fn a_new_leader_moves_every_end() {
    run(|world| async move {
        let client = world.client("client-a", 1).await;
        let lease = client.lease_client().grant(10, None).await.unwrap().id();
        let under = PutOptions::new().with_lease(lease);
        let mut kv = client.kv_client();
        kv.put("lock/n/1", "", Some(under)).await.unwrap();
        world.sleep(SECOND).await;
        world.cluster.crash(0);
        world.sleep(2 * SECOND).await;
        let told = world.authority();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0], "0.0 n begins until 10.0 by client-a");
        assert_eq!(told[1], "2.0 n moved until 13.0 by nobody");
    });
}
