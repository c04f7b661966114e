use dlock_core::LeaseError;

use crate::support::{Call, Fault, MS, SECOND, World};

/// `stale-release`: A expires, B acquires, A's release arrives.
#[tokio::test(start_paused = true)]
async fn r5_a_late_release_does_not_free_a_successor() {
    let world = World::new();
    let a = world
        .locker()
        .lock("a")
        .ttl(SECOND)
        .auto_renew(false)
        .acquire()
        .await
        .unwrap();
    // A's process cannot send for a while, and does not look at the clock either.
    world
        .faulty
        .always(Call::Release, Fault::SlowRequest(3 * SECOND));
    let release = tokio::spawn(a.release());
    world.pass(1_100 * MS).await;
    let b = world.other().lock("a").acquire().await.unwrap();
    let error = release.await.unwrap().unwrap_err();
    assert!(matches!(error, LeaseError::Store { .. }), "{error}");
    assert!(world.is_held("a").await);
    b.check().unwrap();
}

/// `retried-release`: the release is applied, its answer lost; the same process acquires again.
#[tokio::test(start_paused = true)]
async fn r5_a_retried_release_leaves_the_next_grant_alone() {
    let world = World::new();
    let locker = world.locker();
    let first = locker.lock("a").acquire().await.unwrap();
    world.faulty.next(
        Call::Release,
        [
            Fault::ReplyLost,
            Fault::Rejected,
            Fault::SlowRequest(SECOND),
        ],
    );
    first.release().await.unwrap_err();
    let second = locker.lock("a").acquire().await.unwrap();
    world.pass(2 * SECOND).await;
    assert!(
        world.faulty.count(Call::Release) >= 2,
        "the release was repeated"
    );
    second.check().unwrap();
    assert!(world.is_held("a").await);
}

/// An idle connection that broke says so at its next use: no reason to trouble the caller.
#[tokio::test(start_paused = true)]
async fn r5_a_release_is_sent_again_after_a_failure_that_passes() {
    for fault in [Fault::RequestLost, Fault::Unavailable] {
        let world = World::new();
        let guard = world.locker().lock("a").acquire().await.unwrap();
        world.faulty.next(Call::Release, [fault, fault]);
        guard.release().await.unwrap();
        assert!(!world.is_held("a").await);
        assert_eq!(world.faulty.count(Call::Release), 3);
    }
}

/// It was gone when an answer came: by the request before, or taken by somebody else.
#[tokio::test(start_paused = true)]
async fn r5_a_release_that_finds_nothing_after_a_lost_reply_is_in_doubt() {
    let world = World::new();
    let guard = world.locker().lock("a").acquire().await.unwrap();
    world.faulty.next(Call::Release, [Fault::ReplyLost]);
    let error = guard.release().await.unwrap_err();
    assert!(matches!(error, LeaseError::Store { .. }), "{error}");
    assert!(!world.is_held("a").await);
    assert_eq!(world.locker().close().await.unfinished, 0);
    assert_eq!(
        world.faulty.count(Call::Release),
        2,
        "nothing is left to do"
    );
}

#[tokio::test(start_paused = true)]
async fn r5_releasing_twice_by_grant_is_idempotent() {
    let world = World::new();
    let locker = world.locker();
    let grant = locker.lock("a").acquire().await.unwrap().into_grant();
    assert!(locker.release("a", &grant).await.unwrap());
    assert!(!locker.release("a", &grant).await.unwrap());
}
