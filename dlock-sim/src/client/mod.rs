//! A client machine, as the code under test sees it, and what of it gets into the trace.

mod link;
mod observer;
mod own;
mod resource;
mod spy;
mod storage;

pub(crate) use own::OwnResources;
pub use own::{Access, NoAnswer, ProtectedResource, Remote, Visit};
pub use resource::{Resource, ResourceError};
pub(crate) use storage::{STORAGE, found_storage};

use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use dlock_core::fence::Stamp;
use dlock_core::runtime::{Runtime, sleep_until};
use dlock_core::store::LockStore;
use dlock_core::{Instant, Locker, LockerBuilder, OwnerLabel};

use serde::{Deserialize, Serialize};

use crate::faults::SafePoints;
use crate::trace::Kind;
use crate::world::{Freeze, Machine, SimRuntime, nanos};
use observer::TraceObserver;
use spy::Spy;

/// One client of a simulated world: a process on a machine of its own, with a locker.
///
/// Cheap to clone. All of its time, tasks and randomness are the world's: use [`sleep`](Self::sleep),
/// [`spawn`](Self::spawn) and [`random`](Self::random). `tokio::time` works, too, but knows nothing of suspend and of
/// clocks that run fast; a task that is spawned past the client (`tokio::spawn`) is not stopped by a pause, and the run
/// fails with a violation that says so. What `tokio::task::spawn_local` or a thread runs is not noticed: do not use them.
#[derive(Clone)]
pub struct SimClient {
    inner: Arc<Inner>,
}

struct Inner {
    machine: Arc<Machine>,
    runtime: Arc<dyn Runtime>,
    store: Arc<dyn LockStore>,
    locker: Locker,
    number: usize,
    names: Arc<[String]>,
    ttl: Duration,
    points: SafePoints,
    newest: NewestGrant,
    own: OwnResources,
    works_until: Instant,
    fewest_grants: u64,
    verbose: bool,
}

/// The newest guard that a process was given: on whose behalf it writes without a stamp.
pub(crate) type NewestGrant = Arc<Mutex<Option<Holder>>>;

/// A grant, as the trace shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub attempt: String,
    pub token: u64,
}

impl Holder {
    pub fn showing(stamp: &Stamp) -> Self {
        Self {
            attempt: stamp.grant.to_string(),
            token: stamp.token.value(),
        }
    }
}

/// What a process is started with.
#[derive(Clone)]
pub(crate) struct Setting {
    pub machine: Arc<Machine>,
    pub number: usize,
    pub names: Arc<[String]>,
    pub ttl: Duration,
    pub points: SafePoints,
    pub own: OwnResources,
    /// On the true clock, in ns.
    pub works_until_ns: u64,
    /// There is work until locks were granted so often, whatever the clock says.
    pub fewest_grants: u64,
    /// Whether the trace shows every message.
    pub verbose: bool,
}

impl SimClient {
    /// A process begins, with this store.
    pub(crate) fn begin(setting: Setting, store: Arc<dyn LockStore>) -> Self {
        let Setting {
            machine,
            number,
            names,
            ttl,
            points,
            own,
            works_until_ns,
            fewest_grants,
            verbose,
        } = setting;
        let runtime: Arc<dyn Runtime> = Arc::new(SimRuntime::of(&machine));
        let newest = NewestGrant::default();
        let observer = TraceObserver::new(machine.clone(), newest.clone());
        let store: Arc<dyn LockStore> = Arc::new(Spy::new(store, machine.clone()));
        let builder = settings(Locker::builder(store.clone()), &machine, &runtime);
        // The settings make sense.
        let locker = builder
            .observer(Arc::new(observer))
            .build()
            .unwrap_or_else(|_| Locker::new(store.clone()));
        let left = works_until_ns.saturating_sub(machine.recorder().now_ns());
        let works_until = runtime.now() + Duration::from_nanos(left);
        Self {
            inner: Arc::new(Inner {
                machine,
                runtime,
                store,
                locker,
                number,
                names,
                ttl,
                points,
                newest,
                own,
                works_until,
                fewest_grants,
                verbose,
            }),
        }
    }

    /// The locker, on the real store over the world's network. The same for every call, until the process is killed.
    pub fn locker(&self) -> Locker {
        self.inner.locker.clone()
    }

    /// The store itself, for other lockers and for clients that use it without one.
    pub fn store(&self) -> Arc<dyn LockStore> {
        self.inner.store.clone()
    }

    /// A locker with other settings on the same store, which is in the trace as well.
    pub fn locker_with(&self, settings_of: impl FnOnce(LockerBuilder) -> LockerBuilder) -> Locker {
        let builder = Locker::builder(self.inner.store.clone());
        let observer = TraceObserver::new(self.inner.machine.clone(), self.inner.newest.clone());
        let builder = settings(builder, &self.inner.machine, &self.inner.runtime);
        settings_of(builder)
            .observer(Arc::new(observer))
            .build()
            .unwrap_or_else(|_| self.locker())
    }

    /// A protected resource, which lives on a machine of its own. All clients of a world that use the same name share
    /// it.
    pub fn resource(&self, name: &str) -> Resource {
        Resource::new(self.clone(), name)
    }

    /// Clock, timers, tasks and randomness of this machine.
    pub fn runtime(&self) -> Arc<dyn Runtime> {
        self.inner.runtime.clone()
    }

    /// From 1.
    pub fn number(&self) -> usize {
        self.inner.number
    }

    /// As in the trace: `c1`.
    pub fn name(&self) -> &str {
        self.inner.machine.name()
    }

    /// The lock names that the plan wants to be used, where the workload leaves the choice.
    pub fn lock_names(&self) -> &[String] {
        &self.inner.names
    }

    /// The TTL that the plan wants to be used.
    pub fn ttl(&self) -> Duration {
        self.inner.ttl
    }

    /// Whether there is time for more work: the plan's faults go on, or
    /// [too few](crate::Simulation::fewest_grants) locks were granted.
    pub fn works(&self) -> bool {
        let inner = &*self.inner;
        inner.runtime.now() < inner.works_until
            || inner.machine.recorder().grants() < inner.fewest_grants
    }

    /// Sleeps, on the machine's clock.
    pub async fn sleep(&self, duration: Duration) {
        let runtime = &*self.inner.runtime;
        sleep_until(runtime, runtime.now() + duration).await;
    }

    /// Sleeps until the world is so old. On a machine whose clock is wrong, later than that.
    pub async fn until(&self, age: Duration) {
        let left = nanos(age).saturating_sub(self.inner.machine.recorder().now_ns());
        self.sleep(Duration::from_nanos(left)).await;
    }

    /// Runs something in the background of this process.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.runtime.spawn(Box::pin(task));
    }

    /// Random bits from the seed.
    pub fn random(&self) -> u64 {
        self.inner.runtime.random()
    }

    /// A random number below `limit`; 0 if that is 0.
    pub fn random_below(&self, limit: u64) -> u64 {
        self.random() % limit.max(1)
    }

    /// A place in the code where a plan may stop the process: between a check and a write, say. Costs nothing
    /// otherwise. Swarms stop clients at the point `before-write`.
    pub async fn safe_point(&self, point: &str) {
        let machine = &self.inner.machine;
        let now = machine.recorder().now_ns();
        let reached = self
            .inner
            .points
            .points()
            .reached(machine.name(), point, now);
        let Some((index, fault)) = reached else {
            return;
        };
        machine.record(Kind::FaultBegins { index, fault });
        machine.freeze(Freeze::Pause);
        // The gate is closed: what comes next waits behind it.
        let mut stopped = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut stopped, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Puts a note for people into the trace.
    pub fn note(&self, text: impl Into<String>) {
        self.inner.machine.record(Kind::Note {
            text: text.into(),
            more: std::collections::BTreeMap::new(),
        });
    }

    /// The machine.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.inner.machine
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.inner.verbose
    }

    pub(crate) fn own_resources(&self) -> &OwnResources {
        &self.inner.own
    }

    #[cfg(all(feature = "redis", feature = "etcd"))]
    pub(crate) fn newest_slot(&self) -> NewestGrant {
        self.inner.newest.clone()
    }

    pub(crate) fn newest_grant(&self) -> Option<Holder> {
        let newest = self.inner.newest.lock();
        newest.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn settings(
    builder: LockerBuilder,
    machine: &Arc<Machine>,
    runtime: &Arc<dyn Runtime>,
) -> LockerBuilder {
    builder
        .runtime(runtime.clone())
        .label(OwnerLabel::new(machine.name()))
}

impl fmt::Debug for SimClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimClient").field(&self.name()).finish()
    }
}
