use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dlock_core::{LossCause, RunError};

use crate::support::{Call, Fault, SECOND, World};

/// Says, when it is dropped, how many releases had been sent by then.
struct Body {
    world: Arc<World>,
    releases_at_end: Arc<AtomicU32>,
}

impl Drop for Body {
    fn drop(&mut self) {
        self.releases_at_end
            .store(self.world.faulty.count(Call::Release), Ordering::SeqCst);
    }
}

fn body(world: &Arc<World>) -> (Body, Arc<AtomicU32>) {
    let releases_at_end = Arc::new(AtomicU32::new(u32::MAX));
    (
        Body {
            world: world.clone(),
            releases_at_end: releases_at_end.clone(),
        },
        releases_at_end,
    )
}

#[tokio::test(start_paused = true)]
async fn r12_the_release_follows_the_body() {
    let world = Arc::new(World::new());
    let (body, releases_at_end) = body(&world);
    let value: Result<u32, RunError<std::io::Error>> = world
        .locker()
        .lock("a")
        .run(async move |lease| {
            let _body = body;
            lease.check().unwrap();
            Ok(7)
        })
        .await;
    assert_eq!(value.unwrap(), 7);
    assert_eq!(releases_at_end.load(Ordering::SeqCst), 0);
    assert!(!world.is_held("a").await);
}

/// `release-before-body-ends`: the lease is lost while the body waits.
#[tokio::test(start_paused = true)]
async fn r12_on_a_loss_the_body_is_dropped_first() {
    let world = Arc::new(World::new());
    world.faulty.always(Call::Renew, Fault::RequestLost);
    let (body, releases_at_end) = body(&world);
    let result: Result<(), RunError<std::io::Error>> = world
        .locker()
        .lock("a")
        .ttl(3 * SECOND)
        .run(async move |_| {
            let _body = body;
            std::future::pending().await
        })
        .await;
    assert!(matches!(
        result,
        Err(RunError::Lost {
            cause: LossCause::Unreachable,
            ..
        })
    ));
    assert_ne!(
        releases_at_end.load(Ordering::SeqCst),
        u32::MAX,
        "the body was dropped"
    );
}

#[tokio::test(start_paused = true)]
async fn r12_a_cancelled_run_drops_the_body_before_it_releases() {
    let world = Arc::new(World::new());
    let (body, releases_at_end) = body(&world);
    let locker = world.locker();
    let run = locker.lock("a").run(async move |_| {
        let _body = body;
        std::future::pending::<Result<(), std::io::Error>>().await
    });
    let _ = tokio::time::timeout(SECOND, run).await;
    assert_eq!(releases_at_end.load(Ordering::SeqCst), 0);
    world.settle().await;
    assert!(!world.is_held("a").await);
}

/// A value that may have been computed without the lock is withheld.
#[tokio::test(start_paused = true)]
async fn r12_a_body_that_outlives_its_lease_does_not_succeed() {
    let world = World::new();
    let result: Result<(), RunError<std::io::Error>> = world
        .locker()
        .lock("a")
        .ttl(3 * SECOND)
        .run(async |_| {
            // The process is suspended; nothing awaits in between.
            world.runtime.suspend(5 * SECOND);
            Ok(())
        })
        .await;
    assert!(matches!(result, Err(RunError::Lost { .. })));
}

/// A `Send` body makes a `Send` future: the scoped form can be spawned.
#[tokio::test(start_paused = true)]
async fn r12_the_scoped_form_can_be_spawned() {
    let world = World::new();
    let run = world.locker().lock("a").run(async |lease| {
        tokio::task::yield_now().await;
        lease.check()
    });
    tokio::spawn(run).await.unwrap().unwrap();
}

/// A panic in the body releases too, after it.
#[tokio::test(start_paused = true)]
async fn r12_a_panic_in_the_body_releases_the_lock() {
    let world = World::new();
    let run = world
        .locker()
        .lock("a")
        .run(async |_| -> Result<(), std::io::Error> { panic!("as scripted") });
    assert!(tokio::spawn(run).await.unwrap_err().is_panic());
    world.settle().await;
    assert!(!world.is_held("a").await);
}
