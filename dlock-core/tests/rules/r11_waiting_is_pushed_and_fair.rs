use std::sync::{Arc, Mutex};
use std::time::Duration;

use dlock_core::store::{AttemptRequest, LockStore, Mode};
use dlock_core::{AttemptId, LockName, Locker};

use crate::support::{Call, MS, SECOND, World};

/// On the memory store, which declares `ByAttempt`.
#[tokio::test(start_paused = true)]
async fn r11_waiters_are_granted_in_the_order_they_came() {
    let world = World::new();
    let holder = world.other().lock("a").acquire().await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in 0..10 {
        let (locker, order) = (world.other(), order.clone());
        tasks.push(tokio::spawn(async move {
            let guard = locker.lock("a").acquire().await.unwrap();
            order.lock().unwrap().push(number);
            guard.release().await.unwrap();
        }));
        world.settle().await;
    }
    holder.release().await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
}

/// `stampede`: one release wakes one waiter, and idle waiters ask nothing.
#[tokio::test(start_paused = true)]
async fn r11_one_release_wakes_one_waiter() {
    let world = World::new();
    let holder = world
        .other()
        .lock("a")
        .ttl(3600 * SECOND)
        .acquire()
        .await
        .unwrap();
    let locker = world.locker();
    let waiting: Vec<_> = (0..500)
        .map(|_| tokio::spawn(locker.lock("a").acquire()))
        .collect();
    world.settle().await;
    assert_eq!(world.faulty.count(Call::Attempt), 500);
    world.pass(60 * SECOND).await;
    assert_eq!(
        world.faulty.count(Call::Attempt),
        500,
        "idle waiters ask nothing"
    );
    holder.release().await.unwrap();
    world.settle().await;
    assert_eq!(world.faulty.count(Call::Attempt), 501, "one waiter asked");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

/// `dead-head`: the first in the queue never comes.
#[tokio::test(start_paused = true)]
async fn r11_a_dead_head_delays_the_next_by_half_a_second() {
    let world = World::new();
    let holder = world
        .other()
        .lock("a")
        .ttl(60 * SECOND)
        .acquire()
        .await
        .unwrap();
    queue_and_never_look(&world, 7).await;
    let waiting = spawn_acquire(&world.other());
    world.settle().await;
    holder.release().await.unwrap();
    let before = tokio::time::Instant::now();
    let second = waiting.await.unwrap();
    assert!(before.elapsed() <= 501 * MS, "{:?}", before.elapsed());
    // Once, not at every release.
    let waiting = spawn_acquire(&world.other());
    world.settle().await;
    second.release().await.unwrap();
    let before = tokio::time::Instant::now();
    let _third = waiting.await.unwrap();
    assert!(before.elapsed() <= MS, "{:?}", before.elapsed());
}

/// Two dead heads cost two graces, and one until somebody alive looks; an expiry without release is
/// noticed like a release.
#[tokio::test(start_paused = true)]
async fn r11_an_expiry_passes_the_lock_on() {
    let world = World::new();
    let _holder = world
        .other()
        .lock("a")
        .ttl(5 * SECOND)
        .auto_renew(false)
        .acquire()
        .await
        .unwrap();
    queue_and_never_look(&world, 7).await;
    queue_and_never_look(&world, 8).await;
    let before = tokio::time::Instant::now();
    let _guard = spawn_acquire(&world.other()).await.unwrap();
    assert!(before.elapsed() <= 6_510 * MS, "{:?}", before.elapsed());
}

/// A newcomer does not overtake the one for whom a free lock is reserved.
#[tokio::test(start_paused = true)]
async fn r11_try_acquire_does_not_overtake_a_queue() {
    let world = World::new();
    let holder = world.other().lock("a").acquire().await.unwrap();
    queue_and_never_look(&world, 7).await;
    holder.release().await.unwrap();
    assert!(
        world
            .other()
            .lock("a")
            .try_acquire()
            .await
            .unwrap()
            .is_none()
    );
    world.pass(600 * MS).await;
    assert!(
        world
            .other()
            .lock("a")
            .try_acquire()
            .await
            .unwrap()
            .is_some(),
        "the unused grace is over"
    );
}

async fn queue_and_never_look(world: &World, id: u128) {
    let name = LockName::new("a").unwrap();
    let request = AttemptRequest::new(
        name,
        AttemptId::from_bits(id),
        Duration::from_secs(30),
        Mode::Queue,
    );
    world.store.attempt(&request).await.unwrap();
}

fn spawn_acquire(locker: &Locker) -> tokio::task::JoinHandle<dlock_core::Guard> {
    let acquire = locker.lock("a").acquire();
    tokio::spawn(async move { acquire.await.unwrap() })
}
