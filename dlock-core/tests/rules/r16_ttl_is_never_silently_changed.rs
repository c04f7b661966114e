use std::time::Duration;

use dlock_core::store::{LockStore, TtlSupport};
use dlock_core::{AcquireError, InvalidRequest, LeaseError};

use crate::support::{Call, SECOND, World};

fn whole_seconds(world: &World) {
    let capabilities = world.store.capabilities().with_ttl(TtlSupport {
        min: SECOND,
        max: 60 * SECOND,
        granularity: SECOND,
        at_least: 2 * SECOND,
    });
    *world.faulty.capabilities.lock().unwrap() = Some(capabilities);
}

#[tokio::test(start_paused = true)]
async fn r16_a_ttl_outside_the_stores_range_is_refused_before_any_io() {
    let world = World::new();
    whole_seconds(&world);
    for ttl in [
        Duration::ZERO,
        Duration::from_millis(999),
        Duration::from_millis(60_001),
        Duration::MAX,
    ] {
        let error = world
            .locker()
            .lock("a")
            .ttl(ttl)
            .acquire()
            .await
            .unwrap_err();
        let refused = matches!(
            error,
            AcquireError::InvalidRequest(InvalidRequest::TtlOutOfRange { .. })
        );
        assert!(refused, "{ttl:?}: {error}");
    }
    assert_eq!(world.faulty.count(Call::Attempt), 0);
    let guard = world.locker().lock("a").acquire().await.unwrap();
    let error = guard.extend(61 * SECOND).await.unwrap_err();
    assert!(matches!(error, LeaseError::InvalidRequest(_)), "{error}");
    assert_eq!(world.faulty.count(Call::Renew), 0);
}

#[tokio::test(start_paused = true)]
async fn r16_a_rounded_ttl_shows_on_the_guard() {
    let world = World::new();
    whole_seconds(&world);
    let guard = world
        .locker()
        .lock("a")
        .ttl(SECOND)
        .acquire()
        .await
        .unwrap();
    assert_eq!(guard.ttl(), 2 * SECOND);
    guard.extend(Duration::from_millis(4_001)).await.unwrap();
    assert_eq!(guard.ttl(), 5 * SECOND);
}

/// `ttl-underflow`: a TTL that drift and margin eat up is refused, never "valid".
#[tokio::test(start_paused = true)]
async fn r16_a_ttl_of_which_nothing_is_left_is_refused() {
    let world = World::new();
    let error = world
        .locker()
        .lock("a")
        .ttl(Duration::from_millis(2))
        .acquire()
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            AcquireError::InvalidRequest(InvalidRequest::TtlTooShort { .. })
        ),
        "{error}"
    );
}
