//! R5

use dlock_core::store::{LockStore, Release, Trail};

use crate::support::unique;
use crate::{acquire, attempt_id, granted, is_free, name, release, request, shared_store};

#[tokio::test]
async fn a_release_frees_its_own_grant_once() {
    let (store, _) = shared_store!();
    let lock = name(unique("once"));
    let grant = acquire(&store, &lock).await;
    let first = release(&store, &lock, grant).await.unwrap();
    assert!(first.removed && first.settled);
    assert!(is_free(&store, &lock).await);
    let second = release(&store, &lock, grant).await.unwrap();
    assert!(!second.removed && second.settled);
}

/// `stale-release`
#[tokio::test]
async fn a_late_release_leaves_the_successor_alone() {
    let (store, _) = shared_store!();
    let lock = name(unique("stale"));
    let old = acquire(&store, &lock).await;
    assert!(store.force_release(&lock).await.unwrap());
    let new = acquire(&store, &lock).await;
    assert!(!release(&store, &lock, old).await.unwrap().removed);
    let by_attempt = store
        .release(&lock, &Release::Attempt(old.id, Trail::default()))
        .await
        .unwrap();
    assert!(!by_attempt.removed);
    assert_eq!(
        store.inspect(&lock).await.unwrap().unwrap().token,
        Some(new.token)
    );
}

/// An attempt whose answer is not known: any token of its id.
#[tokio::test]
async fn an_attempt_is_released_by_its_id() {
    let (store, _) = shared_store!();
    let lock = name(unique("by-id"));
    let request = request(&lock);
    granted(&store, &request).await;
    assert_eq!(request.trail.load(), 0, "the attempt was answered");
    let stranger = store
        .release(&lock, &Release::Attempt(attempt_id(), Trail::default()))
        .await
        .unwrap();
    assert!(!stranger.removed);
    let released = store
        .release(&lock, &Release::Attempt(request.id, request.trail.clone()))
        .await
        .unwrap();
    assert!(released.removed && released.settled);
    assert!(is_free(&store, &lock).await);
}

#[tokio::test]
async fn force_release_takes_it_from_anybody_and_says_whether_it_was_held() {
    let (store, _) = shared_store!();
    let lock = name(unique("force"));
    assert!(!store.force_release(&lock).await.unwrap());
    acquire(&store, &lock).await;
    assert!(store.force_release(&lock).await.unwrap());
    assert!(is_free(&store, &lock).await);
}
