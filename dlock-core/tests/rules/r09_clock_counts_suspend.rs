use dlock_core::runtime::{Runtime, TokioRuntime};
use dlock_core::{Ended, LossCause};

use crate::support::{MS, SECOND, World};

/// `machine-suspend`: the clock jumps, the timers do not notice.
#[tokio::test(start_paused = true)]
async fn r9_a_suspended_machine_knows_at_its_first_look() {
    let world = World::new();
    let lock = world.locker().lock("a").ttl(60 * SECOND);
    let guard = lock.acquire().await.unwrap();
    world.pass(SECOND).await;
    guard.check().unwrap();
    world.runtime.suspend(90 * SECOND);
    guard.check().unwrap_err();
}

/// Nobody has called `check`: the scheduler, whose timer stood at 20 s, looks at the clock all the same.
#[tokio::test(start_paused = true)]
async fn r9_the_end_is_signalled_within_a_second_of_the_resume() {
    let world = World::new();
    let lock = world.locker().lock("a").ttl(60 * SECOND);
    let guard = lock.acquire().await.unwrap();
    world.pass(SECOND).await;
    let timers = tokio::time::Instant::now();
    world.runtime.suspend(90 * SECOND);
    let ended = guard.ended().await;
    assert!(
        matches!(ended, Ended::Lost(LossCause::Expired)),
        "{ended:?}"
    );
    assert!(timers.elapsed() <= 1_001 * MS, "{:?}", timers.elapsed());
}

/// Waiting, too, is over when the clock says so.
#[tokio::test(start_paused = true)]
async fn r9_a_wait_budget_is_measured_on_the_same_clock() {
    let world = World::new();
    let _holder = world
        .other()
        .lock("a")
        .ttl(3600 * SECOND)
        .acquire()
        .await
        .unwrap();
    let locker = world.locker();
    let waiting = tokio::spawn(locker.lock("a").wait(600 * SECOND).acquire());
    world.pass(SECOND).await;
    let timers = tokio::time::Instant::now();
    world.runtime.suspend(600 * SECOND);
    waiting.await.unwrap().unwrap_err();
    assert!(timers.elapsed() <= 1_001 * MS, "{:?}", timers.elapsed());
}

/// The production clock is the one that counts suspend.
#[cfg(target_os = "linux")]
#[test]
fn r9_the_production_clock_is_boottime() {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let seconds: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
    let boottime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now = TokioRuntime::new().now().as_nanos();
    let distance = now.abs_diff(boottime.tv_sec as u64 * 1_000_000_000 + boottime.tv_nsec as u64);
    assert!(
        distance < 60_000_000_000,
        "{distance} ns from CLOCK_BOOTTIME (uptime {seconds} s)"
    );
}
