use dlock_core::{LeaseError, Status};

use crate::support::{Call, Fault, MS, SECOND, World};

#[tokio::test(start_paused = true)]
async fn r15_a_failing_renewal_suspends_and_a_later_one_heals() {
    let world = World::new();
    let guard = world
        .locker()
        .lock("a")
        .ttl(30 * SECOND)
        .acquire()
        .await
        .unwrap();
    assert_eq!(guard.status(), Status::Held);
    world.faulty.always(Call::Renew, Fault::Unavailable);
    world.pass(11 * SECOND).await;
    assert_eq!(guard.status(), Status::Suspended);
    guard.check().unwrap();
    let error = guard.ensure(SECOND).unwrap_err();
    assert!(matches!(error, LeaseError::Suspended { .. }), "{error}");
    world.faulty.always(Call::Renew, Fault::None);
    world.pass(2 * SECOND).await;
    assert_eq!(guard.status(), Status::Held);
    guard.ensure(20 * SECOND).unwrap();
    let error = guard.ensure(30 * SECOND).unwrap_err();
    assert!(matches!(error, LeaseError::TooLittleLeft { .. }), "{error}");
}

/// A renewal without any answer suspends too, before the deadline.
#[tokio::test(start_paused = true)]
async fn r15_silence_suspends() {
    let world = World::new();
    let guard = world
        .locker()
        .lock("a")
        .ttl(30 * SECOND)
        .acquire()
        .await
        .unwrap();
    world.faulty.always(Call::Renew, Fault::Hangs);
    world.pass(20_100 * MS).await;
    assert_eq!(guard.status(), Status::Suspended);
    guard.check().unwrap();
    world.pass(10 * SECOND).await;
    assert_eq!(guard.status(), Status::Ended);
}

/// After a pause the first look tells, before the scheduler has run.
#[tokio::test(start_paused = true)]
async fn r15_a_pause_suspends_without_any_failure() {
    let world = World::new();
    let guard = world
        .locker()
        .lock("a")
        .ttl(30 * SECOND)
        .acquire()
        .await
        .unwrap();
    world.runtime.suspend(25 * SECOND);
    guard.check().unwrap();
    assert_eq!(guard.status(), Status::Suspended);
    world.pass(2 * SECOND).await;
    assert_eq!(guard.status(), Status::Held, "renewed");
}
