//! R6

use std::time::Duration;

use dlock_core::store::{Expiry, LockStore, Renewal, Renewed};

use crate::support::{raw, send, unique};
use crate::{TTL, acquire, is_free, name, release, renew, shared_store};

const RENEWED: Renewed = Renewed::Until(Expiry::ByThisCall);

#[tokio::test]
async fn a_renewal_lengthens_the_lease() {
    let (store, url) = shared_store!();
    let lock = name(unique("longer"));
    let grant = acquire(&store, &lock).await;
    assert_eq!(renew(&store, &lock, grant, TTL * 2).await.unwrap(), RENEWED);
    assert!(left(&url, &lock).await > 110_000);
}

/// `late-renewal-shortens`
#[tokio::test]
async fn a_renewal_never_shortens() {
    let (store, url) = shared_store!();
    let lock = name(unique("shorter"));
    let grant = acquire(&store, &lock).await;
    assert_eq!(
        renew(&store, &lock, grant, Duration::from_secs(1))
            .await
            .unwrap(),
        RENEWED
    );
    assert!(left(&url, &lock).await > 50_000);
}

#[tokio::test]
async fn a_lease_that_lost_its_expiry_gets_one() {
    let (store, url) = shared_store!();
    let lock = name(unique("eternal"));
    let grant = acquire(&store, &lock).await;
    let _: i64 = send(&raw(&url).await, &["PERSIST", &format!("lock:{lock}")]).await;
    assert_eq!(renew(&store, &lock, grant, TTL).await.unwrap(), RENEWED);
    assert!((1..=60_000).contains(&left(&url, &lock).await));
}

#[tokio::test]
async fn a_renewal_never_resurrects() {
    let (store, url) = shared_store!();
    let lock = name(unique("expired"));
    let grant = acquire(&store, &lock).await;
    // An expiry in the past takes effect at once.
    let _: i64 = send(
        &raw(&url).await,
        &["PEXPIREAT", &format!("lock:{lock}"), "1"],
    )
    .await;
    assert_eq!(
        renew(&store, &lock, grant, TTL).await.unwrap(),
        Renewed::NotOwner
    );
    assert!(is_free(&store, &lock).await);

    let other = acquire(&store, &lock).await;
    assert_eq!(
        renew(&store, &lock, grant, TTL * 10).await.unwrap(),
        Renewed::NotOwner
    );
    assert!(
        left(&url, &lock).await <= 60_000,
        "the old holder lengthened the new one's lease"
    );
    assert!(release(&store, &lock, other).await.unwrap().removed);
    assert_eq!(
        renew(&store, &lock, other, TTL).await.unwrap(),
        Renewed::NotOwner,
        "renewed after its release"
    );
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_batch() {
    let (store, _) = shared_store!();
    let mut batch = Vec::new();
    for index in 0..250 {
        let lock = name(unique("batch"));
        let grant = acquire(&store, &lock).await;
        if index % 7 == 0 {
            release(&store, &lock, grant).await.unwrap();
        }
        batch.push(Renewal::new(lock, grant, TTL));
    }
    let answers = store.renew(&batch).await;
    assert_eq!(answers.len(), 250);
    for (index, answer) in answers.into_iter().enumerate() {
        let expected = if index % 7 == 0 {
            Renewed::NotOwner
        } else {
            RENEWED
        };
        assert_eq!(answer.unwrap(), expected, "{index}");
    }
    assert!(store.renew(&[]).await.is_empty());
}

async fn left(url: &str, lock: &dlock_core::LockName) -> i64 {
    send(&raw(url).await, &["PTTL", &format!("lock:{lock}")]).await
}
