use dlock_core::LossCause;

use crate::support::{Call, Fault, SECOND, World};

#[tokio::test(start_paused = true)]
async fn r2_a_retry_of_one_attempt_is_one_grant_and_one_token() {
    let world = World::new();
    let first = world.other().lock("a").acquire().await.unwrap();
    let before = first.token();
    first.release().await.unwrap();
    world.faulty.next(Call::Attempt, [Fault::ReplyLost]);
    let guard = world.locker().lock("a").acquire().await.unwrap();
    // The lost answer had minted the next token; the retry did not mint another.
    assert_eq!(guard.token().value(), before.value() + 1);
}

#[tokio::test(start_paused = true)]
async fn r2_every_acquisition_has_its_own_id() {
    let world = World::new();
    let locker = world.locker();
    let first = locker.lock("a").acquire().await.unwrap();
    let id = first.id();
    first.release().await.unwrap();
    let second = locker.lock("a").acquire().await.unwrap();
    assert_ne!(second.id(), id);
}

/// `late-duplicate-acquire`: A's acquire is delivered again after A expired and B came and went.
/// A's old grant must not come alive through it.
#[tokio::test(start_paused = true)]
async fn r2_a_late_duplicate_does_not_revive_the_old_grant() {
    let world = World::new();
    world
        .faulty
        .next(Call::Attempt, [Fault::Duplicated(8 * SECOND)]);
    let a = world
        .locker()
        .lock("a")
        .ttl(6 * SECOND)
        .auto_renew(false)
        .acquire()
        .await
        .unwrap();
    // The lease is extended late enough that the guard still believes when the duplicate arrives.
    world.pass(SECOND).await;
    world.other().force_release("a").await.unwrap();
    // The loss is reported at once in memory; a store that reports nothing would leave A believing.
    assert!(matches!(
        a.check(),
        Err(dlock_core::LeaseError::Lost {
            cause: LossCause::NotOwner,
            ..
        })
    ));
    let b = world.other().lock("a").acquire().await.unwrap();
    b.release().await.unwrap();
    world.pass(8 * SECOND).await;
    let old = a.grant();
    let inspection = world
        .other()
        .inspect("a")
        .await
        .unwrap()
        .expect("the duplicate took the lock");
    assert!(
        inspection.token.unwrap() > old.token,
        "the same id with a new token"
    );
    // Both parts are compared: the old grant neither renews nor releases the new one.
    assert!(
        world
            .other()
            .extend("a", &old, SECOND)
            .await
            .unwrap()
            .is_none()
    );
    assert!(!world.other().release("a", &old).await.unwrap());
}
