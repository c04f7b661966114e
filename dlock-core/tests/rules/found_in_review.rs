//! Schedules that a review of the first version found, each against the rule that it broke.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dlock_core::conformance::VirtualRuntime;
use dlock_core::runtime::{Race, Runtime, Task, race, timeout};
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, HeldBy, Inspection, LockStore, Release, Released,
    Renewal, Renewed, StoreError,
};
use dlock_core::{
    AcquireError, Instant, LeaseError, LockName, Locker, MemoryStore, RetryPolicy, Terms,
};

use crate::support::{Call, Fault, MS, SECOND, World};

/// The `run` future is not polled for a while (a blocked thread, a `select!` elsewhere), and its
/// lease is lost: nobody releases under the body.
#[tokio::test(start_paused = true)]
async fn r12_a_loss_releases_nothing_while_the_body_stands_still() {
    let world = World::new();
    let locker = world.locker();
    world.faulty.always(Call::Renew, Fault::ReplyLost);
    let body_over = Arc::new(AtomicBool::new(false));
    struct OnDrop(Arc<AtomicBool>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let marker = OnDrop(body_over.clone());
    let wrote = Arc::new(AtomicBool::new(false));
    let wrote2 = wrote.clone();
    let runtime = world.runtime.clone();
    let mut run = Box::pin(locker.lock("a").ttl(10 * SECOND).run(async move |_lease| {
        let _marker = marker;
        runtime.sleep(2 * SECOND).await; // "I/O"
        wrote2.store(true, Ordering::SeqCst); // stale write
        std::future::pending::<Result<(), ()>>().await
    }));
    assert!(matches!(
        race(run.as_mut(), world.runtime.sleep(SECOND)).await,
        Race::Second(())
    ));
    // not polled meanwhile
    let other = world.other();
    let successor = timeout(
        &*world.runtime,
        world.runtime.now() + 11 * SECOND,
        other.lock("a").acquire(),
    )
    .await;
    let early = successor.is_ok() && !body_over.load(Ordering::SeqCst);
    let _ = race(run.as_mut(), world.runtime.sleep(SECOND)).await;
    assert!(!early, "released before body ended");
}

/// The loss and the body's I/O are ready in one poll: the body does not go on.
#[tokio::test(start_paused = true)]
async fn r12_a_body_makes_no_step_after_the_loss() {
    let world = World::new();
    let locker = world.locker();
    let wrote = Arc::new(AtomicBool::new(false));
    let wrote2 = wrote.clone();
    let runtime = world.runtime.clone();
    let mut run = Box::pin(locker.lock("a").ttl(10 * SECOND).run(async move |_lease| {
        runtime.sleep(2 * SECOND).await;
        wrote2.store(true, Ordering::SeqCst);
        std::future::pending::<Result<(), ()>>().await
    }));
    assert!(matches!(
        race(run.as_mut(), world.runtime.sleep(SECOND)).await,
        Race::Second(())
    ));
    world
        .store
        .force_release(&LockName::new("a").unwrap())
        .await
        .unwrap();
    let _successor = world.other().lock("a").acquire().await.unwrap();
    world.pass(2 * SECOND).await;
    let _ = race(run.as_mut(), world.runtime.sleep(SECOND)).await;
    assert!(
        !wrote.load(Ordering::SeqCst),
        "the body went on after the loss was signalled"
    );
}

struct Hooked {
    inner: Arc<VirtualRuntime>,
    hook: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}
impl Runtime for Hooked {
    fn now(&self) -> Instant {
        let now = self.inner.now();
        let hook = self.hook.lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
        }
        now
    }
    fn sleep(&self, d: Duration) -> Task {
        self.inner.sleep(d)
    }
    fn spawn(&self, t: Task) {
        self.inner.spawn(t)
    }
    fn random(&self) -> u64 {
        self.inner.random()
    }
}
type OnRenewed = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;
struct AfterRenew(MemoryStore, OnRenewed);
#[async_trait::async_trait]
impl LockStore for AfterRenew {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn attempt(&self, r: &AttemptRequest) -> Result<Attempt, StoreError> {
        self.0.attempt(r).await
    }
    async fn renew(&self, b: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        let a = self.0.renew(b).await;
        if let Some(f) = self.1.lock().unwrap().take() {
            f();
        }
        a
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

/// The scheduler's thread stands still between its look at the clock and its update.
#[tokio::test(start_paused = true)]
async fn r7_a_lease_that_check_called_lost_stays_lost() {
    let world = World::new();
    let hooked = Arc::new(Hooked {
        inner: world.runtime.clone(),
        hook: Mutex::new(None),
    });
    let on_renewed: OnRenewed = Arc::default();
    let store = AfterRenew(world.store.clone(), on_renewed.clone());
    let locker = Locker::builder(store)
        .runtime(hooked.clone())
        .build()
        .unwrap();
    let guard = locker.lock("a").ttl(10 * SECOND).acquire().await.unwrap();
    let lease = guard.lease();
    let seen = Arc::new(Mutex::new(None));
    {
        let (hooked, runtime, lease, seen) = (
            hooked.clone(),
            world.runtime.clone(),
            lease.clone(),
            seen.clone(),
        );
        *on_renewed.lock().unwrap() = Some(Box::new(move || {
            *hooked.clone().hook.lock().unwrap() = Some(Box::new(move || {
                runtime.suspend(Duration::from_millis(6_600)); // past our deadline (9.898 s), before the renewed one
                *seen.lock().unwrap() = Some(lease.check().is_err());
            }));
        }));
    }
    world.pass(3_400 * MS).await;
    println!(
        "check failed in between: {:?}; now: {:?}",
        seen.lock().unwrap(),
        guard.check()
    );
    assert_eq!(*seen.lock().unwrap(), Some(true));
    assert!(
        guard.check().is_err(),
        "a lease that check() has called lost is ours again"
    );
}

/// Nothing is granted behind the back of `close`.
#[tokio::test(start_paused = true)]
async fn r13_close_ends_the_acquisitions_that_wait() {
    let world = World::new();
    let locker = world.locker();
    let held = world.other().lock("a").acquire().await.unwrap();
    let waiting = tokio::spawn(locker.lock("a").acquire());
    world.pass(SECOND).await;
    locker.close().await;
    held.release().await.unwrap();
    world.pass(SECOND).await;
    assert!(waiting.is_finished());
    let got = waiting.await.unwrap();
    assert!(got.is_err(), "granted after close: {got:?}");
}

#[tokio::test(start_paused = true)]
async fn r8_giving_back_keeps_to_the_wait_budget() {
    let world = World::new();
    world
        .faulty
        .always(Call::Attempt, Fault::SlowReply(600 * MS));
    world.faulty.always(Call::Renew, Fault::Hangs);
    world.faulty.always(Call::Release, Fault::Hangs);
    let began = world.runtime.now();
    world
        .locker()
        .lock("a")
        .ttl(SECOND)
        .wait(SECOND)
        .acquire()
        .await
        .unwrap_err();
    let took = world.runtime.now().since(began);
    assert!(took <= 1_200 * MS, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn r8_renewing_first_keeps_to_the_request_timeout() {
    let world = World::new();
    world
        .faulty
        .always(Call::Attempt, Fault::SlowReply(4_500 * MS));
    world.faulty.always(Call::Renew, Fault::Hangs);
    let began = world.runtime.now();
    world
        .locker()
        .lock("a")
        .ttl(6 * SECOND)
        .try_acquire()
        .await
        .unwrap_err();
    let took = world.runtime.now().since(began);
    assert!(took <= 5_100 * MS, "{took:?}");
}

/// A retry without a pause would not let anybody else run.
#[tokio::test(start_paused = true)]
async fn a_retry_interval_of_zero_is_refused() {
    let world = World::new();
    for policy in [
        RetryPolicy::every(Duration::ZERO),
        RetryPolicy::jittered(Duration::ZERO, SECOND),
    ] {
        let error = world
            .locker()
            .lock("a")
            .retry(policy)
            .acquire()
            .await
            .unwrap_err();
        assert!(matches!(error, AcquireError::InvalidRequest(_)), "{error}");
    }
}

#[test]
fn drift_outside_its_range_is_refused() {
    for drift in [-1.0, 1.0, f64::NAN, f64::INFINITY] {
        assert!(Terms::new(drift, MS).is_err(), "{drift}");
    }
}

/// A `static` locker in tests, a second runtime in `main`: leases are renewed and released there.
#[test]
fn r13_a_locker_may_outlive_its_first_runtime() {
    let locker = Locker::new(MemoryStore::new());
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime().block_on(locker.lock("a").acquire()).unwrap();
    runtime().block_on(async {
        let guard = locker.lock("b").ttl(300 * MS).acquire().await.unwrap();
        // Its first TTL passes three times: an event with a bound, the end that does not come.
        tokio::time::timeout(900 * MS, guard.ended())
            .await
            .expect_err("it is renewed");
        guard.check().unwrap();
        drop(guard);
        drop(first);
        locker
            .lock("b")
            .wait(5 * SECOND)
            .acquire()
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
        locker
            .lock("a")
            .wait(5 * SECOND)
            .acquire()
            .await
            .unwrap()
            .release()
            .await
            .unwrap();
        assert_eq!(locker.close().await.unfinished, 0);
    });
}

/// Everything stood still, the waiters too: a newcomer does not overtake them.
#[tokio::test(start_paused = true)]
async fn r11_nobody_overtakes_after_a_pause_of_the_process() {
    let world = World::new();
    let locker = world.locker();
    let _held = locker
        .lock("a")
        .ttl(5 * SECOND)
        .auto_renew(false)
        .acquire()
        .await
        .unwrap();
    let mut waiters = Vec::new();
    for _ in 0..3 {
        waiters.push(tokio::spawn(locker.lock("a").acquire()));
        world.settle().await;
    }
    assert_eq!(world.waiters("a").await, 3);
    world.runtime.suspend(10 * SECOND);
    let newcomer = locker.lock("a").try_acquire().await.unwrap();
    assert!(newcomer.is_none(), "the newcomer overtook three waiters");
}

struct PanicOnce(MemoryStore, AtomicU32);
#[async_trait::async_trait]
impl LockStore for PanicOnce {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn attempt(&self, r: &AttemptRequest) -> Result<Attempt, StoreError> {
        self.0.attempt(r).await
    }
    async fn renew(&self, b: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        if self.1.fetch_add(1, Ordering::SeqCst) == 0 {
            panic!("store bug");
        }
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
#[tokio::test(start_paused = true)]
async fn r15_a_panic_in_the_store_costs_one_renewal() {
    let world = World::new();
    let store = PanicOnce(world.store.clone(), AtomicU32::new(0));
    let locker = Locker::builder(store)
        .runtime(world.runtime.clone())
        .build()
        .unwrap();
    let guard = locker.lock("a").ttl(10 * SECOND).acquire().await.unwrap();
    world.pass(20 * SECOND).await;
    assert!(guard.check().is_ok(), "{:?}", guard.check());
}

#[tokio::test(start_paused = true)]
async fn r3_the_clean_up_goes_on_as_long_as_the_store_may_keep_the_lock() {
    let world = World::new();
    let locker = world.locker();
    let guard = locker
        .lock("a")
        .ttl(60 * SECOND)
        .auto_renew(false)
        .acquire()
        .await
        .unwrap();
    guard.extend(SECOND).await.unwrap();
    world.faulty.always(Call::Release, Fault::Unavailable);
    drop(guard);
    world.pass(5 * SECOND).await;
    world.faulty.always(Call::Release, Fault::None);
    world.pass(5 * SECOND).await;
    assert!(
        !world.is_held("a").await,
        "the clean-up gave up with 50 s to go"
    );
}

struct Busy(Duration);
#[async_trait::async_trait]
impl LockStore for Busy {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain("busy")
    }
    async fn attempt(&self, _: &AttemptRequest) -> Result<Attempt, StoreError> {
        Ok(Attempt::Busy {
            held_by: HeldBy::new(None, Some(self.0)),
            place: None,
        })
    }
    async fn renew(&self, _: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        vec![]
    }
    async fn release(&self, _: &LockName, _: &Release) -> Result<Released, StoreError> {
        Ok(Released {
            removed: false,
            settled: true,
        })
    }
    async fn inspect(&self, _: &LockName) -> Result<Option<Inspection>, StoreError> {
        Ok(None)
    }
    async fn force_release(&self, _: &LockName) -> Result<bool, StoreError> {
        Ok(false)
    }
}
#[tokio::test(start_paused = true)]
async fn a_holder_without_end_is_no_overflow() {
    let world = World::new();
    let locker = Locker::builder(Busy(Duration::MAX))
        .runtime(world.runtime.clone())
        .build()
        .unwrap();
    let result = locker.lock("a").wait(SECOND).acquire().await;
    assert!(matches!(result, Err(AcquireError::TimedOut { .. })));
}

#[tokio::test(start_paused = true)]
async fn tries_count_failures_too() {
    let world = World::new();
    world.faulty.everything(Fault::Unavailable);
    world
        .locker()
        .lock("a")
        .retry(RetryPolicy::fixed(3, 100 * MS))
        .acquire()
        .await
        .unwrap_err();
    assert_eq!(world.faulty.count(Call::Attempt), 3);
}

#[tokio::test(start_paused = true)]
async fn r8_patience_with_late_grants_starts_anew_after_waiting() {
    let world = World::new();
    let locker = world.locker();
    world
        .faulty
        .next(Call::Attempt, [Fault::SlowReply(4_500 * MS)]);
    world.faulty.next(Call::Renew, [Fault::RequestLost]);
    let w = tokio::spawn(locker.lock("a").ttl(6 * SECOND).acquire());
    world.pass(4 * SECOND).await;
    // somebody queues up and gets the lock when it is given back
    let other = tokio::spawn(world.other().lock("a").acquire());
    world.pass(10 * SECOND).await;
    let held = other.await.unwrap().unwrap();
    world.pass(60 * SECOND).await;
    assert!(!w.is_finished());
    world
        .faulty
        .next(Call::Attempt, [Fault::SlowReply(4_500 * MS)]);
    world.faulty.next(Call::Renew, [Fault::RequestLost]);
    held.release().await.unwrap();
    world.pass(20 * SECOND).await;
    let result = w.await.unwrap();
    assert!(result.is_ok(), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn r5_an_extend_that_races_with_the_release_is_told_so() {
    let world = World::new();
    let guard = world.locker().lock("a").acquire().await.unwrap();
    let lease = guard.lease();
    world.faulty.next(Call::Renew, [Fault::SlowRequest(SECOND)]);
    let extending = tokio::spawn(async move { lease.extend(60 * SECOND).await });
    world.settle().await;
    guard.release().await.unwrap();
    let error = extending.await.unwrap().unwrap_err();
    assert!(matches!(error, LeaseError::Released { .. }), "{error}");
}

/// Not zero, but over before it begins.
#[tokio::test]
async fn a_retry_interval_of_a_nanosecond_lets_others_run() {
    let locker = Locker::new(MemoryStore::new());
    let held = locker.lock("a").acquire().await.unwrap();
    tokio::spawn(async move { held.release().await.unwrap() });
    let retry = RetryPolicy::every(Duration::from_nanos(1));
    let _guard = locker.lock("a").retry(retry).acquire().await.unwrap();
}

/// The natural way to shut down: `select!` owns an acquisition that it does not poll any more.
#[tokio::test(start_paused = true)]
async fn r13_close_does_not_wait_for_an_acquisition_that_nobody_polls() {
    let world = World::new();
    let locker = world.locker();
    let _held = world.other().lock("a").acquire().await.unwrap();
    let mut acquire = Box::pin(locker.lock("a").acquire());
    let waited = race(acquire.as_mut(), world.runtime.sleep(SECOND)).await;
    assert!(matches!(waited, Race::Second(())));
    let began = world.runtime.now();
    assert_eq!(locker.close().await.unfinished, 0);
    assert!(world.runtime.now().since(began) <= 101 * MS);
}

/// A synchronous bridge that builds a runtime of its own acquires first; then it ends.
#[test]
fn r7_a_temporary_runtime_does_not_take_the_scheduler_along() {
    let runtime = |threads| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(threads)
            .enable_all()
            .build()
            .unwrap()
    };
    let main = runtime(1);
    let locker = main.block_on(async { Locker::new(MemoryStore::new()) });
    let bridge = runtime(1);
    let _own = bridge.block_on(locker.lock("bridge").acquire()).unwrap();
    let guard = main
        .block_on(locker.lock("main").ttl(300 * MS).acquire())
        .unwrap();
    drop(bridge);
    // Three TTLs: an event with a bound, the end that does not come.
    main.block_on(async { tokio::time::timeout(900 * MS, guard.ended()).await })
        .expect_err("it is renewed");
    guard.check().unwrap();
}

/// Two waiters, polled where no runtime lives: they do not wake each other for ever.
#[test]
fn r7_waiters_without_a_runtime_sleep() {
    use std::task::{Context, Wake, Waker};
    #[derive(Default)]
    struct Bell(AtomicU32);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let locker = Locker::new(MemoryStore::new());
    let guard = runtime.block_on(locker.lock("a").acquire()).unwrap();
    drop(runtime);
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut waits = [Box::pin(guard.ended()), Box::pin(guard.ended())];
    for _ in 0..10 {
        for wait in &mut waits {
            let _ = wait.as_mut().poll(&mut Context::from_waker(&waker));
        }
    }
    assert!(bell.0.load(Ordering::SeqCst) <= 2);
}

struct NeverInspects(MemoryStore);
#[async_trait::async_trait]
impl LockStore for NeverInspects {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        self.0.attempt(request).await
    }
    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        self.0.renew(batch).await
    }
    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        self.0.release(name, release).await
    }
    async fn inspect(&self, _: &LockName) -> Result<Option<Inspection>, StoreError> {
        std::future::pending().await
    }
    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        self.0.force_release(name).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_polled_watch_of_a_silent_store_is_an_error() {
    let world = World::new();
    let store = NeverInspects(world.store.clone());
    let locker = Locker::builder(store)
        .runtime(world.runtime.clone())
        .build()
        .unwrap();
    let mut watching = locker.watch("a").await.unwrap();
    let answer = timeout(
        &*world.runtime,
        world.runtime.now() + 10 * SECOND,
        watching.next(),
    )
    .await;
    answer.expect("within the request timeout").unwrap_err();
}
