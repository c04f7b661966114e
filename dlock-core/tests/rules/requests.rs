//! Bad input, budgets, and what an error says.

use dlock_core::{AcquireError, InvalidRequest, Locker, MemoryStore, OwnerLabel, RetryPolicy};

use crate::support::{Call, Fault, MS, SECOND, World};

#[tokio::test(start_paused = true)]
async fn bad_input_is_an_invalid_request_before_any_io() {
    let world = World::new();
    let locker = world.locker();
    let long = "x".repeat(513);
    let bad = [
        locker.lock("").acquire().await,
        locker.lock(&long).acquire().await,
        locker
            .lock("a")
            .ttl(std::time::Duration::ZERO)
            .acquire()
            .await,
        locker
            .lock("a")
            .ttl(400 * 24 * 3600 * SECOND)
            .acquire()
            .await,
        locker
            .lock("a")
            .wait(SECOND)
            .retry(RetryPolicy::fixed(3, SECOND))
            .acquire()
            .await,
        locker
            .lock("a")
            .retry(RetryPolicy::fixed(0, SECOND))
            .acquire()
            .await,
        locker
            .lock("a")
            .wait(std::time::Duration::ZERO)
            .acquire()
            .await,
        locker
            .lock("a")
            .wait(SECOND)
            .try_acquire()
            .await
            .map(Option::unwrap),
    ];
    for result in bad {
        let error = result.unwrap_err();
        assert!(matches!(error, AcquireError::InvalidRequest(_)), "{error}");
    }
    assert_eq!(world.faulty.count(Call::Attempt), 0);
}

#[test]
fn nonsensical_options_are_refused() {
    let share = |share| {
        Locker::builder(MemoryStore::new())
            .min_validity(share)
            .build()
            .unwrap_err()
    };
    for value in [0.0, 1.0, -1.0, f64::NAN] {
        assert!(matches!(share(value), InvalidRequest::OutOfRange { .. }));
    }
    assert!(dlock_core::Terms::new(1.0, MS).is_err());
}

#[test]
fn outside_a_runtime_there_is_an_error_and_no_panic() {
    let locker = Locker::new(MemoryStore::new());
    let error = futures_util::FutureExt::now_or_never(locker.lock("a").acquire())
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, AcquireError::NoRuntime(_)), "{error}");
    // It binds to the first runtime that it meets.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        locker
            .lock("a")
            .acquire()
            .await
            .unwrap()
            .release()
            .await
            .unwrap()
    });
}

#[tokio::test(start_paused = true)]
async fn the_wait_budget_is_kept_and_the_error_names_the_holder() {
    let world = World::new();
    let holder = world
        .other()
        .lock("a")
        .label(OwnerLabel::new("night job"))
        .acquire()
        .await
        .unwrap();
    let before = tokio::time::Instant::now();
    let error = world
        .locker()
        .lock("a")
        .wait(3 * SECOND)
        .acquire()
        .await
        .unwrap_err();
    assert!(before.elapsed() >= 3 * SECOND && before.elapsed() <= 3 * SECOND + 2 * MS);
    let text = error.to_string();
    assert!(
        matches!(error, AcquireError::TimedOut { .. }) && text.contains("night job"),
        "{text}"
    );
    world.settle().await;
    assert_eq!(world.waiters("a").await, 0, "nobody is left in the queue");
    drop(holder);
}

/// distributed-locks' options: so many tries, so far apart.
#[tokio::test(start_paused = true)]
async fn a_retry_policy_limits_the_tries() {
    let world = World::new();
    let _holder = world.other().lock("a").acquire().await.unwrap();
    let error = world
        .locker()
        .lock("a")
        .retry(RetryPolicy::fixed(3, SECOND))
        .acquire()
        .await
        .unwrap_err();
    assert!(
        matches!(error, AcquireError::TimedOut { attempts: 3, .. }),
        "{error}"
    );
}

/// `store-down`: an error within the budget, whether the store refuses, fails or says nothing.
#[tokio::test(start_paused = true)]
async fn a_dead_store_is_a_typed_error_within_the_budget() {
    for fault in [Fault::Unavailable, Fault::RequestLost, Fault::Hangs] {
        let world = World::new();
        world.faulty.everything(fault);
        let before = tokio::time::Instant::now();
        let error = world
            .locker()
            .lock("a")
            .wait(3 * SECOND)
            .acquire()
            .await
            .unwrap_err();
        assert!(matches!(error, AcquireError::Store { .. }), "{error}");
        assert!(
            before.elapsed() <= 3 * SECOND + 2 * MS,
            "{fault:?}: {:?}",
            before.elapsed()
        );
    }
}

/// Without a budget a lock is waited for without end, a dead store is not.
#[tokio::test(start_paused = true)]
async fn without_a_budget_a_dead_store_is_an_error_after_the_outage_patience() {
    let world = World::new();
    world.faulty.everything(Fault::Unavailable);
    let before = tokio::time::Instant::now();
    let error = world.locker().lock("a").acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Store { .. }), "{error}");
    assert!(
        before.elapsed() >= 30 * SECOND && before.elapsed() <= 32 * SECOND,
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_between_does_not_end_the_wait() {
    let world = World::new();
    world.faulty.next(
        Call::Attempt,
        [
            Fault::Unavailable,
            Fault::RequestLost,
            Fault::Hangs,
            Fault::Unavailable,
        ],
    );
    let _guard = world.locker().lock("a").acquire().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rejected_request_is_not_repeated() {
    let world = World::new();
    world.faulty.always(Call::Attempt, Fault::Rejected);
    let error = world.locker().lock("a").acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Store { .. }), "{error}");
    assert_eq!(world.faulty.count(Call::Attempt), 1);
}

#[tokio::test(start_paused = true)]
async fn a_closed_locker_acquires_nothing() {
    let world = World::new();
    let locker = world.locker();
    locker.close().await;
    assert!(matches!(
        locker.lock("a").acquire().await,
        Err(AcquireError::Closed)
    ));
}

/// One scheduler renews many locks in few requests.
#[tokio::test(start_paused = true)]
async fn renewals_travel_in_batches() {
    let world = World::new();
    let locker = world.locker();
    let mut guards = Vec::new();
    for number in 0..2_500 {
        guards.push(
            locker
                .lock(format!("a{number}"))
                .ttl(30 * SECOND)
                .acquire()
                .await
                .unwrap(),
        );
    }
    world.pass(11 * SECOND).await;
    assert_eq!(
        world.faulty.count(Call::Renew),
        3,
        "2,500 renewals in batches of 1,000"
    );
    world.pass(90 * SECOND).await;
    guards.iter().for_each(|guard| guard.check().unwrap());
}
