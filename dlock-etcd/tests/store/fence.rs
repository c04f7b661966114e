//! "Only if this lock is still mine", in a user's own transaction.

use dlock_core::{Guard, Locker};
use dlock_etcd::EtcdStore;
use dlock_etcd::etcd_client::{Client, Txn, TxnOp};

use crate::support::{self, raw, unique};

async fn write(client: &Client, store: &EtcdStore, guard: &Guard, key: &str) -> bool {
    let still_held = store.still_held(guard).unwrap();
    let txn = Txn::new()
        .when([still_held])
        .and_then([TxnOp::put(key, "1", None)]);
    client.kv_client().txn(txn).await.unwrap().succeeded()
}

#[tokio::test]
async fn a_write_is_accepted_while_the_lock_is_held_and_no_longer() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let (name, data) = (unique("fence"), unique("data"));
    let store = EtcdStore::connect([&endpoint]).await.unwrap();
    let locker = Locker::new(store.clone());
    let client = raw(&endpoint).await;
    let guard = locker.lock(&name).acquire().await.unwrap();
    assert!(write(&client, &store, &guard, &data).await);
    // It keeps its revision when it moves to another lease.
    guard
        .extend(std::time::Duration::from_secs(90))
        .await
        .unwrap();
    assert!(write(&client, &store, &guard, &data).await);

    // Spliced before, sent after somebody else has come in.
    let stale = store.still_held(&guard).unwrap();
    assert!(locker.force_release(&name).await.unwrap());
    let next = locker.lock(&name).acquire().await.unwrap();
    let txn = Txn::new()
        .when([stale])
        .and_then([TxnOp::put(data.as_str(), "stale", None)]);
    assert!(!client.kv_client().txn(txn).await.unwrap().succeeded());
    assert!(write(&client, &store, &next, &data).await);
    let lease = next.lease();
    next.release().await.unwrap();
    let error = store.still_held(&lease).unwrap_err().to_string();
    assert!(error.contains(&name), "{error}");
    locker.close().await;
}

#[tokio::test]
async fn another_store_does_not_know_the_lock() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let store = EtcdStore::connect([&endpoint]).await.unwrap();
    let other = EtcdStore::connect([&endpoint]).await.unwrap();
    let locker = Locker::new(store);
    let guard = locker.lock(unique("fence")).acquire().await.unwrap();
    assert!(other.still_held(&guard).is_err());
    locker.close().await;
}
