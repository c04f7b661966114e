//! The server's memory is full.

use dlock_core::fence::FenceError;
use dlock_core::store::{LockStore, StoreError};
use dlock_redis::RedisFence;

use crate::support::{raw, send, unique};
use crate::{TTL, acquire, is_free, is_unavailable, name, own_server, release, renew, request};

#[tokio::test]
async fn nothing_is_granted_and_everything_can_be_released_and_renewed() {
    let server = own_server!("--maxmemory-policy", "noeviction");
    let store = dlock_redis::RedisStore::connect(server.url())
        .await
        .unwrap();
    let behind = raw(&server.url()).await;
    let (held, wanted) = (name(unique("held")), name(unique("wanted")));
    let grant = acquire(&store, &held).await;
    let fence = RedisFence::new(&store, &held).unwrap();
    let _: () = send(&behind, &["CONFIG", "SET", "maxmemory", "1"]).await;

    let request = request(&wanted);
    let refused = store.attempt(&request).await;
    assert!(is_unavailable(&refused), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("OOM"));
    assert_eq!(request.trail.load(), 0, "an OOM is an answer");
    let left: Vec<String> = send(&behind, &["KEYS", &format!("*{wanted}*")]).await;
    assert_eq!(left, Vec::<String>::new());
    let claim = fence.claim(&grant).await;
    assert!(
        matches!(
            claim,
            Err(FenceError::Store(StoreError::Unavailable { .. }))
        ),
        "{claim:?}"
    );

    renew(&store, &held, grant, TTL * 2).await.unwrap();
    assert!(release(&store, &held, grant).await.unwrap().removed);
    assert!(is_free(&store, &held).await);
}
