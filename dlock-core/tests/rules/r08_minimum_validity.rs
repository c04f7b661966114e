use dlock_core::AcquireError;

use crate::support::{Call, Fault, MS, SECOND, World};

#[tokio::test(start_paused = true)]
async fn r8_a_guard_with_too_little_left_is_renewed_first() {
    let world = World::new();
    world
        .faulty
        .next(Call::Attempt, [Fault::SlowReply(4_500 * MS)]);
    let guard = world
        .locker()
        .lock("a")
        .ttl(6 * SECOND)
        .acquire()
        .await
        .unwrap();
    assert!(guard.remaining() > 5_900 * MS, "{:?}", guard.remaining());
    assert_eq!(world.faulty.count(Call::Renew), 1);
}

#[tokio::test(start_paused = true)]
async fn r8_otherwise_it_is_given_back_and_asked_for_again() {
    let world = World::new();
    world
        .faulty
        .next(Call::Attempt, [Fault::SlowReply(4_500 * MS)]);
    world.faulty.next(Call::Renew, [Fault::RequestLost]);
    let guard = world
        .locker()
        .lock("a")
        .ttl(6 * SECOND)
        .acquire()
        .await
        .unwrap();
    assert!(guard.remaining() > 5_900 * MS, "{:?}", guard.remaining());
    assert_eq!(guard.attempts(), 2);
    assert_eq!(world.faulty.count(Call::Release), 1);
}

#[tokio::test(start_paused = true)]
async fn r8_try_acquire_renews_once_and_is_never_none() {
    let world = World::new();
    world
        .faulty
        .always(Call::Attempt, Fault::SlowReply(4_500 * MS));
    world
        .faulty
        .always(Call::Renew, Fault::SlowReply(4_500 * MS));
    let error = world
        .locker()
        .lock("a")
        .ttl(6 * SECOND)
        .try_acquire()
        .await
        .unwrap_err();
    assert!(matches!(error, AcquireError::TooSlow { .. }), "{error}");
    assert_eq!(world.faulty.count(Call::Renew), 1);
    world.settle().await;
    assert!(!world.is_held("a").await, "given back");
}

#[tokio::test(start_paused = true)]
async fn r8_a_store_that_is_always_too_slow_is_an_error_in_the_end() {
    let world = World::new();
    world
        .faulty
        .always(Call::Attempt, Fault::SlowReply(4_500 * MS));
    world.faulty.always(Call::Renew, Fault::RequestLost);
    let error = world
        .locker()
        .lock("a")
        .ttl(6 * SECOND)
        .acquire()
        .await
        .unwrap_err();
    assert!(matches!(error, AcquireError::TooSlow { .. }), "{error}");
}
