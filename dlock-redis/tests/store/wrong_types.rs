//! A key of ours holds something else: a typed error, no orphan, and what is there stays there.

use dlock_core::Grant;
use dlock_core::fence::FenceError;
use dlock_core::store::{AttemptRequest, LockStore, Mode, Release, Renewal, Trail};
use dlock_redis::{RedisFence, redis};

use crate::support::{raw, send, unique};
use crate::{TTL, acquire, attempt_id, name, rejection, release, renew, request, shared_store};

#[tokio::test]
async fn a_lock_key_of_another_type_is_refused_by_every_operation() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    let lock = name(unique("list"));
    let key = format!("lock:{lock}");
    let grant = a_grant(&store).await;
    let _: () = send(&behind, &["RPUSH", &key, "somebody's data"]).await;

    let request = request(&lock);
    let message = rejection(store.attempt(&request).await);
    assert!(
        message.contains("DLOCKTYPE") && message.contains("lock key"),
        "{message}"
    );
    assert_eq!(request.trail.load(), 0);
    rejection(renew(&store, &lock, grant, TTL).await);
    rejection(release(&store, &lock, grant).await);
    rejection(
        store
            .release(&lock, &Release::Attempt(grant.id, Trail::default()))
            .await,
    );
    rejection(store.inspect(&lock).await);
    rejection(store.force_release(&lock).await);

    let data: Vec<String> = send(&behind, &["LRANGE", &key, "0", "-1"]).await;
    assert_eq!(data, ["somebody's data"]);
    let counters: i64 = send(
        &behind,
        &["EXISTS", &format!("{{{key}}}dlock:counter:{key}")],
    )
    .await;
    assert_eq!(counters, 0);
}

#[tokio::test]
async fn one_bad_key_in_a_batch_spoils_no_other() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    let locks: Vec<_> = (0..3).map(|_| name(unique("mixed"))).collect();
    let first = acquire(&store, &locks[0]).await;
    let _: () = send(&behind, &["SADD", &format!("lock:{}", locks[1]), "x"]).await;
    let last = acquire(&store, &locks[2]).await;
    let grants = [first, a_grant(&store).await, last];
    let batch: Vec<_> = locks
        .iter()
        .zip(grants)
        .map(|(lock, grant)| Renewal::new(lock.clone(), grant, TTL))
        .collect();
    let mut answers = store.renew(&batch).await;
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    rejection(answers.remove(1));
}

/// The order of waiting is no reason to take a lock, or to lose one.
#[tokio::test]
async fn a_queue_key_of_another_type_is_refused_by_attempts_and_left_alone_by_releases() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    for (kind, mistaken) in [
        ("queue", ["SET", "x"]),
        ("alive", ["SET", "x"]),
        ("reservation", ["SADD", "x"]),
    ] {
        let lock = name(unique(kind));
        let key = format!("lock:{lock}");
        let grant = acquire(&store, &lock).await;
        let beside = format!("{{{key}}}dlock:{kind}:{key}");
        let [command, value] = mistaken;
        let _: redis::Value = send(&behind, &[command, &beside, value]).await;
        let queued = AttemptRequest::new(lock.clone(), attempt_id(), TTL, Mode::Queue);
        let message = rejection(store.attempt(&queued).await);
        assert!(
            message.contains("DLOCKTYPE") && message.contains(kind),
            "{message}"
        );
        renew(&store, &lock, grant, TTL).await.unwrap();
        assert!(release(&store, &lock, grant).await.unwrap().removed);
        let left: i64 = send(&behind, &["EXISTS", &beside, &key]).await;
        assert_eq!(left, 1, "{kind}");
    }
}

/// SET then INCR on a wrong type would leave a lock without a holder.
#[tokio::test]
async fn a_counter_key_of_another_type_is_refused_before_anything_is_written() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    let lock = name(unique("counter"));
    let key = format!("lock:{lock}");
    let counter = format!("{{{key}}}dlock:counter:{key}");
    let _: () = send(&behind, &["HSET", &counter, "a", "b"]).await;
    let message = rejection(store.attempt(&request(&lock)).await);
    assert!(
        message.contains("DLOCKTYPE") && message.contains("counter"),
        "{message}"
    );
    let orphans: i64 = send(&behind, &["EXISTS", &key]).await;
    assert_eq!(orphans, 0);
    let kept: String = send(&behind, &["HGET", &counter, "a"]).await;
    assert_eq!(kept, "b");

    // A lock that is held already is not harmed by it.
    let _: () = send(&behind, &["DEL", &counter]).await;
    let grant = acquire(&store, &lock).await;
    let _: () = send(&behind, &["DEL", &counter]).await;
    let _: () = send(&behind, &["HSET", &counter, "a", "b"]).await;
    renew(&store, &lock, grant, TTL).await.unwrap();
    let kept: String = send(&behind, &["HGET", &counter, "a"]).await;
    assert_eq!(kept, "b");
    assert!(release(&store, &lock, grant).await.unwrap().removed);
}

#[tokio::test]
async fn a_fence_key_of_another_kind_is_refused() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    let lock = name(unique("fence"));
    let key = format!("lock:{lock}");
    let fence_key = format!("{{{key}}}dlock:fence:{key}");
    let data = unique("data");
    let fence = RedisFence::new(&store, &lock).unwrap();
    let grant = acquire(&store, &lock).await;
    let spoilt: [&[&str]; 4] = [
        &["SET", &fence_key, "7"],
        &["HSET", &fence_key, "other", "7"],
        &["HSET", &fence_key, "token", "7"],
        &["HSET", &fence_key, "token", "x", "grant", "y"],
    ];
    for command in spoilt {
        let _: i64 = send(&behind, &["DEL", &fence_key]).await;
        let _: redis::Value = send(&behind, command).await;
        for result in [
            fence.claim(&grant).await,
            fence.set(&grant, &data, "x").await,
        ] {
            let Err(FenceError::Store(error)) = result else {
                panic!("{command:?}: {result:?}")
            };
            let message = rejection::<()>(Err(error));
            assert!(message.contains("DLOCKFENCE"), "{message}");
        }
    }
    let written: i64 = send(&behind, &["EXISTS", &data]).await;
    assert_eq!(written, 0);
}

async fn a_grant(store: &dlock_redis::RedisStore) -> Grant {
    acquire(store, &name(unique("any"))).await
}
