//! A second look at the locker: what a release without an answer proves, and what happens between a
//! decision and its request.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dlock_core::conformance::VirtualRuntime;
use dlock_core::runtime::{Runtime, Task};
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Inspection, LockStore, LossSignal, Release, Released,
    Renewal, Renewed, StoreError,
};
use dlock_core::{AcquireError, Instant, LeaseError, LockName, Locker, LossCause, RunError};

use crate::support::{Call, Fault, Faulty, MS, SECOND, World};

/// A store without loss reports (Redis): strip the signal.
struct NoSignal(Arc<Faulty>);
#[async_trait]
impl LockStore for NoSignal {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn attempt(&self, r: &AttemptRequest) -> Result<Attempt, StoreError> {
        let mut r = r.clone();
        r.loss = LossSignal::unheard();
        self.0.attempt(&r).await
    }
    async fn renew(&self, b: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        self.0.renew(b).await
    }
    async fn release(&self, n: &LockName, r: &Release) -> Result<Released, StoreError> {
        self.0.release(n, r).await
    }
    async fn inspect(&self, n: &LockName) -> Result<Option<Inspection>, StoreError> {
        self.0.inspect(n).await
    }
    async fn force_release(&self, n: &LockName) -> Result<bool, StoreError> {
        self.0.force_release(n).await
    }
}
fn no_signal(world: &World) -> Locker {
    Locker::builder(NoSignal(world.faulty.clone()))
        .runtime(world.runtime.clone())
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn r7_a_release_without_an_answer_does_not_hide_a_loss() {
    let world = World::new();
    let guard = no_signal(&world)
        .lock("a")
        .ttl(30 * SECOND)
        .acquire()
        .await
        .unwrap();
    world.pass(SECOND).await;
    world
        .store
        .force_release(&LockName::new("a").unwrap())
        .await
        .unwrap();
    let successor = world.other().lock("a").acquire().await.unwrap();
    world.pass(SECOND).await;
    world.faulty.next(Call::Release, [Fault::RequestLost]);
    let r = guard.release().await;
    successor.check().unwrap();
    assert!(
        r.is_err(),
        "Ok although the lock was taken 1 s before: {r:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn r12_a_value_survives_a_release_that_outlasts_the_ttl() {
    let world = World::new();
    world.faulty.next(Call::Release, [Fault::Unavailable; 8]);
    let r: Result<u32, RunError<()>> = world
        .locker()
        .lock("a")
        .ttl(SECOND)
        .run(async move |l| {
            l.check().unwrap();
            Ok(7)
        })
        .await;
    assert!(matches!(r, Ok(7)), "{r:?}");
}
#[tokio::test(start_paused = true)]
async fn r7_an_end_by_itself_is_no_theft() {
    let world = World::new();
    let g = world
        .locker()
        .lock("a")
        .ttl(SECOND)
        .acquire()
        .await
        .unwrap();
    world.faulty.next(Call::Release, [Fault::Unavailable; 8]);
    let r = g.release().await;
    assert!(
        !matches!(
            r,
            Err(LeaseError::Lost {
                cause: LossCause::NotOwner,
                ..
            })
        ),
        "{r:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_release_once_in_doubt_stays_in_doubt() {
    let world = World::new();
    let g = world.locker().lock("a").acquire().await.unwrap();
    world.faulty.next(Call::Release, [Fault::ReplyLost]);
    world.faulty.always(Call::Release, Fault::Unavailable);
    let e = g.release().await.unwrap_err();
    assert!(!world.is_held("a").await, "it was applied");
    assert!(
        !matches!(
            &e,
            LeaseError::Store {
                source: StoreError::Unavailable { .. },
                ..
            }
        ),
        "{e:?} {e}"
    );
}
#[tokio::test(start_paused = true)]
async fn an_attempt_once_in_doubt_stays_in_doubt() {
    let world = World::new();
    world.faulty.next(Call::Attempt, [Fault::ReplyLost]);
    world.faulty.always(Call::Attempt, Fault::Unavailable);
    world.faulty.always(Call::Release, Fault::Unavailable);
    let e = world
        .locker()
        .lock("a")
        .wait(2 * SECOND)
        .acquire()
        .await
        .unwrap_err();
    assert!(world.is_held("a").await, "it was applied");
    assert!(
        !matches!(
            &e,
            AcquireError::Store {
                source: StoreError::Unavailable { .. },
                ..
            }
        ),
        "{e:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn r7_an_old_refusal_is_blamed_for_a_later_expiry() {
    let world = World::new();
    let g = world
        .locker()
        .lock("a")
        .ttl(9 * SECOND)
        .acquire()
        .await
        .unwrap();
    world.faulty.next(Call::Renew, [Fault::Rejected]);
    world.pass(20 * SECOND).await; // refused once, then renewed several times
    g.check().unwrap();
    assert_eq!(g.status(), dlock_core::Status::Held);
    world.runtime.suspend(60 * SECOND);
    let e = g.check().unwrap_err();
    assert!(
        matches!(
            &e,
            LeaseError::Lost {
                cause: LossCause::Expired,
                ..
            }
        ),
        "{e:?}"
    );
}

/// A runtime that ends with the nth spawn and is replaced by another one.
struct Dies {
    inner: Arc<VirtualRuntime>,
    n: AtomicU32,
    dies: u32,
}
impl Runtime for Dies {
    fn now(&self) -> Instant {
        self.inner.now()
    }
    fn sleep(&self, d: Duration) -> Task {
        self.inner.sleep(d)
    }
    fn spawn(&self, t: Task) {
        if self.n.fetch_add(1, Ordering::SeqCst) == self.dies {
            drop(t);
            return;
        }
        self.inner.spawn(t)
    }
    fn random(&self) -> u64 {
        self.inner.random()
    }
}
#[tokio::test(start_paused = true)]
async fn r15_a_renewal_dropped_before_its_first_poll_is_a_failure_not_silence() {
    let world = World::new();
    let rt = Arc::new(Dies {
        inner: world.runtime.clone(),
        n: AtomicU32::new(0),
        dies: 1,
    });
    let locker = Locker::builder(world.faulty.clone())
        .runtime(rt)
        .build()
        .unwrap();
    let g = locker.lock("a").ttl(9 * SECOND).acquire().await.unwrap();
    world.pass(10 * SECOND).await;
    g.check().unwrap();
}

type Hook = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;
struct OnSpawn {
    inner: Arc<VirtualRuntime>,
    n: AtomicU32,
    at: u32,
    hook: Hook,
}
impl Runtime for OnSpawn {
    fn now(&self) -> Instant {
        self.inner.now()
    }
    fn sleep(&self, d: Duration) -> Task {
        self.inner.sleep(d)
    }
    fn spawn(&self, t: Task) {
        if self.n.fetch_add(1, Ordering::SeqCst) == self.at {
            let h = self.hook.lock().unwrap().take();
            if let Some(h) = h {
                h()
            }
        }
        self.inner.spawn(t)
    }
    fn random(&self) -> u64 {
        self.inner.random()
    }
}
#[tokio::test(start_paused = true)]
async fn r6_no_renewal_leaves_after_the_drop() {
    let world = World::new();
    let hook: Hook = Arc::default();
    let rt = Arc::new(OnSpawn {
        inner: world.runtime.clone(),
        n: AtomicU32::new(0),
        at: 1,
        hook: hook.clone(),
    });
    let locker = Locker::builder(world.faulty.clone())
        .runtime(rt)
        .build()
        .unwrap();
    let g = locker.lock("a").ttl(9 * SECOND).acquire().await.unwrap();
    world.faulty.always(Call::Release, Fault::Unavailable);
    // another thread drops the guard just before the renewal task is spawned
    *hook.lock().unwrap() = Some(Box::new(move || drop(g)));
    world.pass(10_200 * MS).await;
    world.faulty.always(Call::Release, Fault::None); // the store is back 1.8 s before the lock's end
    world.pass(1_500 * MS).await;
    assert!(
        !world.is_held("a").await,
        "clean-up gave up before TTL after the last send"
    );
}

struct Sub(Hook);
impl tracing::Subscriber for Sub {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, a: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        if a.metadata().name() == "acquire" {
            let h = self.0.lock().unwrap().take();
            if let Some(h) = h {
                h()
            }
        }
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
#[tokio::test(start_paused = true)]
async fn r13_close_waits_for_an_acquisition_that_has_just_begun() {
    let world = World::new();
    let locker = world.locker();
    let hook: Hook = Arc::default();
    let closed = Arc::new(Mutex::new(None));
    let (l, c) = (locker.clone(), closed.clone());
    *hook.lock().unwrap() = Some(Box::new(move || {
        // Stands for another thread.
        *c.lock().unwrap() = futures_util::FutureExt::now_or_never(l.close());
    }));
    let _d = tracing::subscriber::set_default(Sub(hook));
    world
        .faulty
        .next(Call::Attempt, [Fault::SlowReply(10 * MS)]);
    let refused = locker.lock("a").acquire().await.map(drop);
    assert!(matches!(refused, Err(AcquireError::Closed)), "{refused:?}");
    // It had not answered when it was dropped: it was waiting for the attempt to be cleaned up.
    assert!(closed.lock().unwrap().is_none());
    assert_eq!(locker.close().await.unfinished, 0);
    assert!(!world.is_held("a").await);
}
