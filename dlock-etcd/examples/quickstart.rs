//! A lock and a write that needs it, on an etcd at the default address:
//! `cargo run -p dlock-etcd --example quickstart`.

use dlock_core::Locker;
use dlock_etcd::EtcdStore;
use dlock_etcd::etcd_client::{Client, Txn, TxnOp};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let endpoints = ["http://127.0.0.1:2379"];
    let store = EtcdStore::connect(endpoints).await?;
    let locker = Locker::new(store.clone());
    let mut client = Client::connect(endpoints, None).await?;

    let guard = locker
        .lock("duckDuckGoose")
        .ttl(Duration::from_secs(60)) // default 30 s; renewed in the background
        .wait(Duration::from_secs(5)) // without it acquire() waits as long as it takes
        .acquire()
        .await?;
    let write = Txn::new()
        .when([store.still_held(&guard)?]) // etcd compares and writes in one step
        .and_then([TxnOp::put("geese", "42", None)]);
    if client.txn(write).await?.succeeded() {
        println!("42 geese, written with token {}", guard.token());
    } else {
        println!("the lock was lost; nothing was written");
    }
    guard.release().await?;

    locker.close().await; // waits for what dropped guards left to do
    Ok(())
}
