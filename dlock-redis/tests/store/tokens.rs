//! R10

use dlock_core::FencingToken;
use dlock_redis::RedisStore;
use std::time::Duration;

use crate::support::{raw, send, unique};
use crate::{TTL, acquire, name, own_server, rejection, release, renew, request, shared_store};

#[tokio::test]
async fn tokens_rise_with_every_grant() {
    let (store, _) = shared_store!();
    let lock = name(unique("rise"));
    let mut newest = None;
    for _ in 0..100 {
        let grant = acquire(&store, &lock).await;
        assert!(
            Some(grant.token) > newest,
            "{} after {newest:?}",
            grant.token
        );
        newest = Some(grant.token);
        release(&store, &lock, grant).await.unwrap();
    }
}

/// The counter orders grants when the clock does not: here it is an hour ahead.
#[tokio::test]
async fn tokens_rise_by_the_counter_when_the_clock_is_behind() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    let lock = name(unique("ahead"));
    let first = acquire(&store, &lock).await;
    release(&store, &lock, first).await.unwrap();
    let ahead = first.token.value() + 3_600_000_000;
    let _: () = send(&behind, &["SET", &counter(&lock), &ahead.to_string()]).await;

    let second = acquire(&store, &lock).await;
    assert_eq!(second.token, FencingToken::new(ahead + 1).unwrap());
    let left: u64 = send(&behind, &["PTTL", &counter(&lock)]).await;
    let retention = 7 * 24 * 3_600_000;
    assert!(
        left > retention + 3_500_000,
        "the counter ends {left} ms from now, before the clock has caught up"
    );
}

#[tokio::test]
async fn tokens_rise_although_the_counter_was_lost() {
    let mut server = own_server!();
    let lock = name(unique("lost"));
    let store = RedisStore::connect(server.url()).await.unwrap();
    let first = acquire(&store, &lock).await;

    let behind = raw(&server.url()).await;
    let _: () = send(&behind, &["DEL", &counter(&lock)]).await;
    release(&store, &lock, first).await.unwrap();
    let second = acquire(&store, &lock).await;
    assert!(second.token > first.token, "after DEL");

    let _: () = send(&behind, &["FLUSHALL"]).await;
    let third = acquire(&store, &lock).await;
    assert!(third.token > second.token, "after FLUSHALL");

    server.restart_empty();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let fourth = acquire(&store, &lock).await;
    assert!(fourth.token > third.token, "after a restart without data");
}

#[tokio::test]
async fn a_counter_expires_a_retention_after_the_lease() {
    let Some(url) = crate::support::redis() else {
        return;
    };
    let store = RedisStore::builder()
        .url(&url)
        .counter_retention(Duration::from_secs(100))
        .connect()
        .await
        .unwrap();
    let behind = raw(&url).await;
    let lock = name(unique("retention"));
    let grant = acquire(&store, &lock).await;
    let left: u64 = send(&behind, &["PTTL", &counter(&lock)]).await;
    assert!((155_000..=160_000).contains(&left), "{left}");

    renew(&store, &lock, grant, TTL * 2).await.unwrap();
    let left: u64 = send(&behind, &["PTTL", &counter(&lock)]).await;
    assert!(
        (215_000..=220_000).contains(&left),
        "{left} after a renewal"
    );
}

#[tokio::test]
async fn a_renewal_keeps_the_token_and_puts_a_lost_counter_back() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    let lock = name(unique("renewed"));
    let grant = acquire(&store, &lock).await;
    let _: () = send(&behind, &["DEL", &counter(&lock)]).await;
    renew(&store, &lock, grant, TTL).await.unwrap();
    assert_eq!(store_token(&store, &lock).await, grant.token);
    let kept: u64 = send(&behind, &["GET", &counter(&lock)]).await;
    assert_eq!(kept, grant.token.value());
    let left: i64 = send(&behind, &["PTTL", &counter(&lock)]).await;
    assert!(left > 0, "the counter put back never expires");

    // Never lowered, and a counter that somebody made eternal stays so.
    let ahead = grant.token.value() + 5;
    let _: () = send(&behind, &["SET", &counter(&lock), &ahead.to_string()]).await;
    renew(&store, &lock, grant, TTL).await.unwrap();
    let kept: u64 = send(&behind, &["GET", &counter(&lock)]).await;
    assert_eq!(kept, ahead);
    let left: i64 = send(&behind, &["PTTL", &counter(&lock)]).await;
    assert_eq!(left, -1);
}

#[tokio::test]
async fn a_counter_that_holds_no_token_is_refused_and_left_alone() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    let lock = name(unique("garbage"));
    for garbage in [
        "",
        "x",
        "-1",
        "1.5",
        "1e3",
        "0x10",
        " 7",
        "nan",
        "inf",
        "9007199254740991",
        "99999999999999999999",
        "9007199254740993",
    ] {
        let _: () = send(&behind, &["SET", &counter(&lock), garbage]).await;
        let message =
            rejection(dlock_core::store::LockStore::attempt(&store, &request(&lock)).await);
        assert!(message.contains("DLOCKCOUNTER"), "{garbage:?}: {message}");
        let kept: String = send(&behind, &["GET", &counter(&lock)]).await;
        assert_eq!(kept, garbage);
        let orphans: i64 = send(&behind, &["EXISTS", &format!("lock:{lock}")]).await;
        assert_eq!(orphans, 0, "{garbage:?} left a lock without a holder");
    }
    // Nor does a renewal repair what it does not understand.
    let _: () = send(&behind, &["DEL", &counter(&lock)]).await;
    let grant = acquire(&store, &lock).await;
    for garbage in ["x", "99999999999999999999"] {
        let _: () = send(&behind, &["SET", &counter(&lock), garbage]).await;
        renew(&store, &lock, grant, TTL).await.unwrap();
        let kept: String = send(&behind, &["GET", &counter(&lock)]).await;
        assert_eq!(kept, garbage);
    }
    release(&store, &lock, grant).await.unwrap();
    // The last one that works.
    let _: () = send(&behind, &["SET", &counter(&lock), "9007199254740990"]).await;
    assert_eq!(
        acquire(&store, &lock).await.token.value(),
        9_007_199_254_740_991
    );
}

fn counter(lock: &dlock_core::LockName) -> String {
    format!("{{lock:{lock}}}dlock:counter:lock:{lock}")
}

async fn store_token(store: &RedisStore, lock: &dlock_core::LockName) -> FencingToken {
    dlock_core::store::LockStore::inspect(store, lock)
        .await
        .unwrap()
        .unwrap()
        .token
        .unwrap()
}
