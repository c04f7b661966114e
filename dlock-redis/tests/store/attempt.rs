use dlock_core::store::{Attempt, Expiry, HeldBy, LockStore};
use dlock_core::{FencingToken, OwnerLabel};

use crate::support::{raw, send, unique};
use crate::{TTL, acquire, granted, is_free, name, release, request, shared_store};

#[tokio::test]
async fn a_free_lock_is_granted_and_a_held_one_says_who_has_it() {
    let (store, _) = shared_store!();
    let lock = name(unique("who"));
    assert!(is_free(&store, &lock).await);
    let first = granted(&store, &request(&lock)).await;
    assert_eq!(first.expiry, Expiry::ByThisCall);

    let Attempt::Busy {
        held_by: HeldBy {
            label, time_left, ..
        },
        place,
    } = store.attempt(&request(&lock)).await.unwrap()
    else {
        panic!("two holders");
    };
    assert_eq!(label, Some(OwnerLabel::new("test:1")));
    assert!(
        time_left.unwrap() <= TTL && time_left.unwrap() > TTL / 2,
        "{time_left:?}"
    );
    assert!(place.is_none(), "a try does not wait");

    let seen = store.inspect(&lock).await.unwrap().unwrap();
    assert_eq!(seen.token, Some(first.grant.token));
    assert_eq!(seen.label, Some(OwnerLabel::new("test:1")));
    assert!(seen.time_left.unwrap() <= TTL && seen.time_left.unwrap() > TTL / 2);
    assert_eq!(seen.waiters, Some(0));
}

/// R2: the same request, sent again because its answer was lost.
#[tokio::test]
async fn a_retry_gets_the_same_grant_and_no_longer_lease() {
    let (store, url) = shared_store!();
    let lock = name(unique("retry"));
    let request = request(&lock);
    let first = granted(&store, &request).await;
    let behind = raw(&url).await;
    let key = format!("lock:{lock}");
    let _: i64 = send(&behind, &["PEXPIRE", &key, "30000"]).await;

    let again = granted(&store, &request).await;
    assert_eq!(again.grant, first.grant);
    assert_eq!(again.expiry, Expiry::ByEarlierCall);
    let left: u64 = send(&behind, &["PTTL", &key]).await;
    assert!(
        left <= 30_000,
        "the retry lengthened the lease to {left} ms"
    );
}

/// R2: a late duplicate gives the lock back to the same id after somebody else's turn. What tells
/// the two grants apart is the token.
#[tokio::test]
async fn a_late_duplicate_is_another_grant() {
    let (store, _) = shared_store!();
    let lock = name(unique("duplicate"));
    let request = request(&lock);
    let first = granted(&store, &request).await.grant;
    assert!(store.force_release(&lock).await.unwrap());
    let other = acquire(&store, &lock).await;
    release(&store, &lock, other).await.unwrap();

    let second = granted(&store, &request).await;
    assert_eq!(second.expiry, Expiry::ByThisCall);
    let second = second.grant;
    assert_eq!(second.id, first.id);
    assert!(second.token > other.token && other.token > first.token);

    let old = crate::renew(&store, &lock, first, TTL).await.unwrap();
    assert_eq!(
        old,
        dlock_core::store::Renewed::NotOwner,
        "the old grant was renewed"
    );
    assert!(
        !release(&store, &lock, first).await.unwrap().removed,
        "the old grant released the new one"
    );
    assert!(release(&store, &lock, second).await.unwrap().removed);
}

#[tokio::test]
async fn many_attempts_at_once_get_one_grant() {
    let (store, _) = shared_store!();
    let lock = name(unique("crowd"));
    let attempts = (0..200).map(|_| {
        let (store, request) = (store.clone(), request(&lock));
        async move { matches!(store.attempt(&request).await.unwrap(), Attempt::Granted(_)) }
    });
    let granted = futures_util::future::join_all(attempts)
        .await
        .into_iter()
        .filter(|granted| *granted)
        .count();
    assert_eq!(granted, 1);
}

/// The value's form is wire format; `:` in labels, any byte in names.
#[tokio::test]
async fn names_and_labels_of_all_kinds() {
    let (store, url) = shared_store!();
    let behind = raw(&url).await;
    for odd in [
        "{",
        "}",
        "{}",
        "}{",
        "{a}",
        "a{b}c",
        "a}b{c",
        "{{}}",
        "{lock:a}b}",
        " ",
        "\0\r\n",
        "ü:*?[a]",
        "dlock:counter:x",
    ] {
        let text = format!("{odd}{}", unique(odd));
        let lock = name(&text);
        let request = request(&lock).labelled(OwnerLabel::new("a:b:{c}: ü"));
        let grant = granted(&store, &request).await.grant;
        let value: String = send(&behind, &["GET", &format!("lock:{text}")]).await;
        assert_eq!(
            value,
            format!("dlock1:{}:{}:a:b:{{c}}: ü", grant.id.expose(), grant.token)
        );
        let seen = store.inspect(&lock).await.unwrap().unwrap();
        assert_eq!(
            (seen.token, seen.label),
            (Some(grant.token), Some(request.label.clone()))
        );
        assert!(
            release(&store, &lock, grant).await.unwrap().removed,
            "{text:?}"
        );
    }
}

#[tokio::test]
async fn a_name_that_would_meet_an_auxiliary_key_is_refused() {
    let Some(url) = crate::support::redis() else {
        return;
    };
    let store = dlock_redis::RedisStore::builder()
        .url(url)
        .prefix("")
        .connect()
        .await
        .unwrap();
    let victim = unique("victim");
    let lock = name(&victim);
    let grant = acquire(&store, &lock).await;
    let bad = name(format!("{{{victim}}}dlock:counter:{victim}"));
    let message = crate::rejection(store.attempt(&request(&bad)).await);
    assert!(message.contains("another prefix or name"), "{message}");
    crate::rejection(store.inspect(&bad).await);
    crate::rejection(store.force_release(&bad).await);
    crate::rejection(crate::renew(&store, &bad, grant, TTL).await);
    crate::rejection(release(&store, &bad, grant).await);
    // In a batch it harms nobody else.
    let renewals = [(&lock, grant), (&bad, grant), (&lock, grant)]
        .map(|(lock, grant)| dlock_core::store::Renewal::new(lock.clone(), grant, TTL));
    let answers = store.renew(&renewals).await;
    assert!(
        answers[0].is_ok() && answers[1].is_err() && answers[2].is_ok(),
        "{answers:?}"
    );
}

#[tokio::test]
async fn stores_with_different_prefixes_have_different_locks() {
    let (store, url) = shared_store!();
    let other = dlock_redis::RedisStore::builder()
        .url(url)
        .prefix("other:")
        .connect()
        .await
        .unwrap();
    let lock = name(unique("prefix"));
    let first = acquire(&store, &lock).await;
    let second = acquire(&other, &lock).await;
    assert_ne!(first.id, second.id);
    assert!(first.token.value() > 0 && second.token <= FencingToken::MAX);
}
