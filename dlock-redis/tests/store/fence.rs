use dlock_core::fence::{FenceError, Stamp, Stamped};
use dlock_core::store::StoreError;
use dlock_core::{AttemptId, FencingToken, Grant};
use dlock_redis::RedisFence;

use crate::support::{raw, send, unique};
use crate::{name, shared_store};

fn stamp(id: u128, token: u64) -> Stamp {
    Grant {
        id: AttemptId::from_bits(id),
        token: FencingToken::new(token).unwrap(),
    }
    .stamp()
}

fn newest(result: Result<(), FenceError>) -> u64 {
    match result {
        Err(FenceError::Stale { newest, .. }) => newest.value(),
        other => panic!("not stale: {other:?}"),
    }
}

/// `claim-before-read`: 34 claims and reads; 33 writes late; 34 writes.
#[tokio::test]
async fn after_a_newer_claim_the_older_holder_cannot_write() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    let (fence, data) = (
        RedisFence::new(&store, &name(unique("fence"))).unwrap(),
        unique("data"),
    );
    fence.claim(&stamp(1, 33)).await.unwrap();
    fence.set(&stamp(1, 33), &data, "by 33").await.unwrap();
    fence.claim(&stamp(2, 34)).await.unwrap();
    assert_eq!(newest(fence.set(&stamp(1, 33), &data, "late").await), 34);
    assert_eq!(newest(fence.claim(&stamp(1, 33)).await), 34);
    let value: String = send(&behind, &["GET", &data]).await;
    assert_eq!(value, "by 33");
    fence.set(&stamp(2, 34), &data, b"by \xff").await.unwrap();
    let value: Vec<u8> = send(&behind, &["GET", &data]).await;
    assert_eq!(value, b"by \xff");
}

#[tokio::test]
async fn a_write_needs_a_claim() {
    let (store, url) = shared_store!();
    let (fence, data) = (
        RedisFence::new(&store, &name(unique("fence"))).unwrap(),
        unique("data"),
    );
    let unclaimed = |result: Result<(), FenceError>| {
        assert!(
            matches!(result, Err(FenceError::Unclaimed { .. })),
            "{result:?}"
        )
    };
    unclaimed(fence.set(&stamp(1, 33), &data, "x").await);
    fence.claim(&stamp(1, 33)).await.unwrap();
    unclaimed(fence.set(&stamp(2, 34), &data, "x").await);
    let written: i64 = send(&raw(&url).await, &["EXISTS", &data]).await;
    assert_eq!(written, 0);
}

#[tokio::test]
async fn one_token_serves_one_grant_which_may_claim_twice() {
    let (store, _) = shared_store!();
    let (fence, data) = (
        RedisFence::new(&store, &name(unique("fence"))).unwrap(),
        unique("data"),
    );
    fence.claim(&stamp(1, 33)).await.unwrap();
    fence.claim(&stamp(1, 33)).await.unwrap();
    assert_eq!(newest(fence.claim(&stamp(2, 33)).await), 33);
    assert_eq!(newest(fence.set(&stamp(2, 33), &data, "x").await), 33);
}

/// Also tokens of other stores, beyond what Lua counts exactly.
#[tokio::test]
async fn tokens_compare_as_numbers_of_any_size() {
    let (store, _) = shared_store!();
    let fence = RedisFence::new(&store, &name(unique("fence"))).unwrap();
    let mut last = None;
    for token in [
        0,
        9,
        10,
        99,
        100,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        (1 << 53) + 2,
        i64::MAX as u64 - 1,
        i64::MAX as u64,
    ] {
        fence.claim(&stamp(token.into(), token)).await.unwrap();
        if let Some(last) = last {
            assert_eq!(
                newest(fence.claim(&stamp(u128::from(last), last)).await),
                token
            );
        }
        last = Some(token);
    }
}

#[tokio::test]
async fn a_fence_has_no_expiry_and_hides_the_attempt_id() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    let lock = name(unique("fence"));
    let grant = crate::acquire(&store, &lock).await;
    RedisFence::new(&store, &lock)
        .unwrap()
        .claim(&grant)
        .await
        .unwrap();
    let key = format!("{{lock:{lock}}}dlock:fence:lock:{lock}");
    let left: i64 = send(&behind, &["PTTL", &key]).await;
    assert_eq!(left, -1);
    let fields: Vec<String> = send(&behind, &["HGETALL", &key]).await;
    assert!(
        !fields
            .iter()
            .any(|field| field.contains(&grant.id.expose())),
        "{fields:?}"
    );
}

#[tokio::test]
async fn dlocks_own_keys_are_no_data() {
    let (store, _) = shared_store!();
    let lock = name(unique("fence"));
    let fence = RedisFence::new(&store, &lock).unwrap();
    fence.claim(&stamp(1, 1)).await.unwrap();
    for key in [
        format!("lock:{lock}"),
        format!("{{lock:{lock}}}dlock:counter:lock:{lock}"),
    ] {
        let result = fence.set(&stamp(1, 1), &key, "x").await;
        assert!(
            matches!(result, Err(FenceError::Store(StoreError::Rejected { .. }))),
            "{result:?}"
        );
    }
}

/// A guard of another lock would shut out the rightful holder.
#[tokio::test]
async fn a_guard_of_another_lock_is_refused() {
    let (store, _) = crate::shared_store!();
    let (invoice, other) = (crate::name(unique("invoice")), unique("other"));
    let fence = RedisFence::new(&store, &invoice).unwrap();
    let guard = dlock_core::Locker::new(store)
        .lock(&other)
        .acquire()
        .await
        .unwrap();
    for result in [
        fence.claim(&guard).await,
        fence.set(&guard, "data", "1").await,
    ] {
        assert!(
            matches!(result, Err(FenceError::OtherLock { .. })),
            "{result:?}"
        );
    }
}
