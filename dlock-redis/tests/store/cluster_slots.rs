//! All keys of a name live in one slot, says a real cluster node.

use dlock_core::store::LockStore;
use dlock_redis::RedisStore;
use dlock_redis::redis::cmd;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::support::{PATIENCE, raw, send, unique, within};
use crate::{granted, is_unavailable, name, own_server, request};

#[tokio::test]
async fn a_cluster_node_accepts_the_keys_of_every_name() {
    let server = own_server!("--cluster-enabled", "yes");
    let behind = raw(&server.url()).await;
    let slots: Vec<u16> = (0..16384).collect();
    let _: () = cmd("CLUSTER")
        .arg("ADDSLOTS")
        .arg(slots)
        .query_async(&mut behind.clone())
        .await
        .unwrap();
    let store = RedisStore::builder()
        .url(server.url())
        .prefix("")
        .connect()
        .await
        .unwrap();
    let serving = async {
        while is_unavailable(&store.attempt(&request(&name("first"))).await) {
            tokio::task::yield_now().await;
        }
    };
    within(PATIENCE, serving).await;

    let names = prop::collection::vec(prop_oneof![3 => "[{}]", 2 => "[a-c:]", 1 => "\\PC"], 1..10);
    let mut runner = TestRunner::deterministic();
    for _ in 0..500 {
        let text = names.new_tree(&mut runner).unwrap().current().concat() + &unique("");
        // Two keys in two slots would be a CROSSSLOT error.
        granted(&store, &request(&name(text))).await;
    }
    let keys: Vec<String> = send(&behind, &["KEYS", "*"]).await;
    assert!(keys.len() > 1000);
}
