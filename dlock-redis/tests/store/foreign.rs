//! Locks of other libraries on the same key.

use dlock_core::store::{Attempt, HeldBy, LockStore, Release, Trail};

use crate::support::{raw, send, unique};
use crate::{acquire, is_free, name, release, request, shared_store};

#[tokio::test]
async fn a_plain_set_nx_px_excludes_us_and_is_excluded() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    let lock = name(unique("foreign"));
    let key = format!("lock:{lock}");
    let set = ["SET", &key, "3f1c8a", "NX", "PX", "60000"];

    let taken: Option<String> = send(&behind, &set).await;
    assert!(taken.is_some());
    let Attempt::Busy {
        held_by: HeldBy {
            label, time_left, ..
        },
        ..
    } = store.attempt(&request(&lock)).await.unwrap()
    else {
        panic!("two holders");
    };
    assert_eq!(label, None);
    assert!(time_left.is_some());
    let seen = store.inspect(&lock).await.unwrap().unwrap();
    assert_eq!((seen.token, seen.label), (None, None));
    let _: () = send(&behind, &["DEL", &key]).await;

    let grant = acquire(&store, &lock).await;
    let taken: Option<String> = send(&behind, &set).await;
    assert!(taken.is_none(), "the foreign library took our lock");
    release(&store, &lock, grant).await.unwrap();
}

#[tokio::test]
async fn a_foreign_lock_without_expiry_excludes_us_without_end() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    let lock = name(unique("no-ttl"));
    let key = format!("lock:{lock}");
    // An empty value, and one that is no text.
    for value in ["", "dlock1:", "\u{1}\0"] {
        let _: () = send(&behind, &["SET", &key, value]).await;
        let request = request(&lock);
        let Attempt::Busy { held_by, .. } = store.attempt(&request).await.unwrap() else {
            panic!("two holders")
        };
        assert_eq!((held_by.label, held_by.time_left), (None, None));
        let ours = store
            .release(&lock, &Release::Attempt(request.id, Trail::default()))
            .await
            .unwrap();
        assert!(!ours.removed);
        assert_eq!(store.inspect(&lock).await.unwrap().unwrap().time_left, None);
    }
    assert!(store.force_release(&lock).await.unwrap());
    assert!(is_free(&store, &lock).await);
}
