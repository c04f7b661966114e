use dlock_core::{Locker, MemoryStore};

use crate::support::{Call, Fault, MS, SECOND, World};

#[tokio::test(start_paused = true)]
async fn r13_a_dropped_guard_is_released() {
    let world = World::new();
    drop(world.locker().lock("a").acquire().await.unwrap());
    world.settle().await;
    assert!(!world.is_held("a").await);
    assert_eq!(world.faulty.count(Call::Release), 1);
}

#[tokio::test(start_paused = true)]
async fn r13_close_waits_for_all_background_releases() {
    let world = World::new();
    world
        .faulty
        .always(Call::Release, Fault::SlowRequest(2 * SECOND));
    let locker = world.locker();
    for number in 0..50 {
        drop(locker.lock(format!("a{number}")).acquire().await.unwrap());
    }
    assert_eq!(locker.close().await.unfinished, 0);
    for number in 0..50 {
        assert!(!world.is_held(&format!("a{number}")).await);
    }
}

#[tokio::test(start_paused = true)]
async fn r13_close_keeps_to_its_budget_and_says_what_is_left() {
    let world = World::new();
    world.faulty.always(Call::Release, Fault::Hangs);
    let locker = world.builder().close_budget(3 * SECOND).build().unwrap();
    drop(locker.lock("a").acquire().await.unwrap());
    let before = tokio::time::Instant::now();
    assert_eq!(locker.close().await.unfinished, 1);
    assert!(before.elapsed() <= 3 * SECOND + MS);
}

/// Dropped after its runtime is gone: no panic, no block; the TTL ends the lock.
#[test]
fn r13_a_guard_may_outlive_its_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let locker = Locker::new(MemoryStore::new());
    let guard = runtime.block_on(locker.lock("a").acquire()).unwrap();
    drop(runtime);
    drop(guard);
}

#[test]
fn r13_a_guard_may_be_dropped_on_a_thread_without_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let locker = Locker::new(MemoryStore::new());
    let guard = runtime.block_on(locker.lock("a").acquire()).unwrap();
    std::thread::spawn(move || drop(guard)).join().unwrap();
    runtime.block_on(locker.close());
    assert!(runtime.block_on(locker.inspect("a")).unwrap().is_none());
}
