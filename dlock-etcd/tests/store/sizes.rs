use std::mem::size_of_val;

use dlock_core::store::Release;
use dlock_core::store::{LockStore, Trail};
use dlock_core::{FencingToken, Grant};
use dlock_etcd::EtcdStore;

use crate::{attempt_id, name, request};

/// They lie in the futures of users, perhaps on the stack of a thread, and a batch has a thousand of them.
#[tokio::test]
async fn the_futures_of_requests_are_small() {
    let store = EtcdStore::builder().lazy().unwrap();
    let lock = name("size");
    let asking = request(&lock);
    let grant = Grant {
        id: attempt_id(),
        token: FencingToken::new(7).unwrap(),
    };
    let release = Release::Grant(grant, Trail::default());
    for (what, size, limit) in [
        (
            "connect",
            size_of_val(&EtcdStore::connect(["http://127.0.0.1:1"])),
            8192,
        ),
        ("attempt", size_of_val(&*store.attempt(&asking)), 2048),
        (
            "release",
            size_of_val(&*store.release(&lock, &release)),
            2048,
        ),
        ("inspect", size_of_val(&*store.inspect(&lock)), 2048),
    ] {
        println!("{what}: {size} bytes");
        assert!(size <= limit, "{what}: {size} bytes");
    }
}
