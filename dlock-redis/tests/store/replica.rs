use dlock_core::store::LockStore;
use dlock_redis::RedisStore;
use dlock_redis::redis::aio::MultiplexedConnection;

use crate::support::{PATIENCE, raw, send, unique, within};
use crate::{is_free, name, own_server, rejection, request};

#[tokio::test]
async fn a_replica_is_refused_with_what_to_do() {
    let primary = own_server!("--repl-diskless-sync-delay", "0");
    let replica = own_server!();
    let store = RedisStore::connect(replica.url()).await.unwrap();
    let behind = raw(&replica.url()).await;
    let _: () = send(
        &behind,
        &["REPLICAOF", "127.0.0.1", &primary.port().to_string()],
    )
    .await;
    let in_step = async {
        while !send::<String>(&behind, &["INFO", "replication"])
            .await
            .contains("master_link_status:up")
        {
            tokio::task::yield_now().await;
        }
    };
    within(PATIENCE, in_step).await;

    let before = other_clients(&behind).await;
    let lock = name(unique("replica"));
    let message = rejection(store.attempt(&request(&lock)).await);
    assert!(message.contains("connect to the primary"), "{message}");
    assert!(is_free(&store, &lock).await);

    // The same address may lead to the new primary by now: the next command connects anew.
    let replaced = async {
        while other_clients(&behind).await.contains(&before[0]) {
            tokio::task::yield_now().await;
        }
    };
    within(PATIENCE, replaced).await;

    // A failover makes it the primary: the store goes on by itself.
    let _: () = send(&behind, &["REPLICAOF", "NO", "ONE"]).await;
    crate::acquire(&store, &lock).await;
}

/// What a replica has not got may well be on the primary: "not there" is no answer.
#[tokio::test]
async fn a_replica_does_not_say_that_a_grant_is_gone() {
    let primary = own_server!();
    let replica = own_server!();
    let behind = raw(&replica.url()).await;
    // Its link is down: it serves what it had, which is nothing.
    let _: () = send(&behind, &["REPLICAOF", "127.0.0.1", "1"]).await;
    let lock = name(unique("stale-replica"));
    let grant = crate::acquire(&RedisStore::connect(primary.url()).await.unwrap(), &lock).await;
    let store = RedisStore::connect(replica.url()).await.unwrap();
    for message in [
        rejection(crate::renew(&store, &lock, grant, crate::TTL).await),
        rejection(crate::release(&store, &lock, grant).await),
    ] {
        assert!(message.contains("connect to the primary"), "{message}");
    }
}

/// The ids of all clients but this one and the primary.
async fn other_clients(behind: &MultiplexedConnection) -> Vec<String> {
    let own: u64 = send(behind, &["CLIENT", "ID"]).await;
    let list: String = send(behind, &["CLIENT", "LIST", "TYPE", "normal"]).await;
    let ids = list
        .lines()
        .filter_map(|line| line.strip_prefix("id=")?.split(' ').next());
    ids.filter(|id| **id != own.to_string())
        .map(str::to_owned)
        .collect()
}
