use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use dlock_core::Instant;
use dlock_core::runtime::{Runtime, Task};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tokio::runtime::Handle;

use super::clock::MachineClock;
use super::gate::Gate;
use super::tasks::Tasks;
use super::time::{WorldTime, nanos};
use crate::trace::{Kind, Recorder, TrueClock};

/// A simulated machine with one process: the [`Runtime`] that the real code runs on.
///
/// Its process can be stopped in three ways that differ for leases ([`Freeze`]), and its clocks are its own.
pub struct Machine {
    name: Arc<str>,
    time: Arc<WorldTime>,
    recorder: Recorder,
    clock: MachineClock,
    gate: Arc<Gate>,
    random: Mutex<ChaCha8Rng>,
    process: Mutex<Process>,
    /// Our tasks on tokio's runtime. (The first one of a process is turmoil's.)
    tasks: Arc<Tasks>,
}

#[derive(Default)]
struct Process {
    handle: Option<Handle>,
    panicked: Vec<String>,
    escaped: bool,
}

/// How a process can be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freeze {
    /// A garbage collection, `SIGSTOP`: the clocks go on.
    Pause,
    /// The machine sleeps: timers stop, the clock that counts suspend goes on.
    Suspend,
    /// The hypervisor stops the machine: all of its clocks stop.
    VmPause,
}

impl Machine {
    pub(crate) fn new(name: &str, seed: u64, time: Arc<WorldTime>, recorder: Recorder) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // Machines were not started at the same time: an instant of one means nothing on another.
        let started = 3600 * 1_000_000_000 + random.next_u64() % (3600 * 1_000_000_000);
        Self {
            name: name.into(),
            time,
            recorder,
            clock: MachineClock::starting_at(started),
            gate: Arc::default(),
            random: Mutex::new(random),
            process: Mutex::default(),
            tasks: Arc::default(),
        }
    }

    /// The machine's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The trace of this world.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Writes an event of this machine.
    pub fn record(&self, kind: Kind) -> u64 {
        self.recorder
            .record_local(&self.name, self.now().as_nanos(), kind)
    }

    /// What the machine's monotonic clock shows, the one that counts suspend.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(self.clock.boot(self.time.now_ns()))
    }

    /// 64 bits of this machine's own stream.
    pub fn random(&self) -> u64 {
        self.random
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next_u64()
    }

    /// What the clock shows that stands still during suspend: `std::time::Instant`'s.
    pub fn now_without_suspend(&self) -> Instant {
        Instant::from_nanos(self.clock.timer(self.time.now_ns()))
    }

    /// Stops the process.
    pub fn freeze(&self, how: Freeze) {
        let now = self.time.now_ns();
        self.gate.close();
        match how {
            Freeze::Pause => {}
            Freeze::Suspend => self.clock.suspend(now, true),
            Freeze::VmPause => self.clock.pause_vm(now, true),
        }
        self.record_state(how.word());
        if how == Freeze::VmPause {
            self.record_clock();
        }
    }

    /// Undoes one [`freeze`](Self::freeze).
    pub fn thaw(&self, how: Freeze) {
        let now = self.time.now_ns();
        match how {
            Freeze::Pause => {}
            Freeze::Suspend => self.clock.suspend(now, false),
            Freeze::VmPause => self.clock.pause_vm(now, false),
        }
        if how == Freeze::VmPause {
            self.record_clock();
        }
        self.record_state("resumed");
        self.gate.open();
    }

    /// Whether the process stands still.
    pub fn is_frozen(&self) -> bool {
        self.gate.is_closed()
    }

    /// Lets the clocks run fast by so many parts per billion; slow if negative.
    pub fn set_clock_rate(&self, rate_ppb: i64) {
        self.clock.set_rate(self.time.now_ns(), rate_ppb);
        self.record_clock();
    }

    /// Begins the process: tokio's runtime is this machine's from now on.
    pub(crate) fn started(&self) {
        self.process().handle = Handle::try_current().ok();
        self.record_clock();
        self.record_state("started");
    }

    /// The process is about to be killed.
    pub(crate) fn crashing(&self) {
        self.tasks.about_to_die();
    }

    pub(crate) fn tasks_gone(&self) {
        self.tasks.all_dead();
    }

    /// The process was killed.
    pub(crate) fn crashed(&self) {
        self.tasks_gone();
        self.gate.forget_tasks();
        self.process().handle = None;
        self.record_state("crashed");
    }

    /// Puts a task behind the gate.
    pub(crate) fn guard<F: Future<Output = ()>>(
        self: &Arc<Self>,
        task: F,
    ) -> impl Future<Output = ()> + use<F> {
        self.gate.guard(Caught {
            machine: self.clone(),
            task: Box::pin(task),
        })
    }

    /// Panics of tasks since the last call.
    pub(crate) fn take_panics(&self) -> Vec<String> {
        std::mem::take(&mut self.process().panicked)
    }

    /// Looks whether somebody runs tasks past the gate, where a pause does not reach them. Says so once.
    pub(crate) fn found_escaped_tasks(&self) -> Option<usize> {
        let mut process = self.process();
        let alive = process.handle.as_ref()?.metrics().num_alive_tasks();
        let known = self.tasks.count();
        if process.escaped || alive <= known {
            return None;
        }
        process.escaped = true;
        Some(alive - known)
    }

    fn record_state(&self, state: &str) {
        self.record(Kind::Process {
            state: state.to_owned(),
        });
    }

    fn record_clock(&self) {
        self.record(Kind::Clock {
            rate_ppb: self.clock.boot_rate_ppb(),
        });
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Freeze {
    fn word(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Suspend => "suspended",
            Self::VmPause => "vm_paused",
        }
    }
}

/// The simulator's [`Runtime`] is a handle to a machine.
#[derive(Clone)]
pub struct SimRuntime(pub(crate) Arc<Machine>);

impl SimRuntime {
    /// Clock, timers, tasks and randomness of this machine.
    pub fn of(machine: &Arc<Machine>) -> Self {
        Self(machine.clone())
    }
}

impl Runtime for SimRuntime {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep(&self, duration: Duration) -> Task {
        let machine = self.0.clone();
        Box::pin(async move {
            let timer = || machine.clock.timer(machine.time.now_ns());
            let until = timer().saturating_add(nanos(duration));
            loop {
                let left = until.saturating_sub(timer());
                if left == 0 {
                    return;
                }
                // Suspend and another rate show at the next look.
                let left = Duration::from_nanos(machine.clock.true_time_for(left));
                #[allow(clippy::disallowed_methods)] // A runtime is where tokio is reached.
                tokio::time::sleep(left).await;
            }
        })
    }

    fn spawn(&self, task: Task) {
        let Ok(handle) = Handle::try_current() else {
            // A runtime that is gone drops its tasks.
            return;
        };
        let task = self.0.tasks.keep(Box::pin(self.0.guard(task)));
        #[allow(clippy::disallowed_methods)]
        drop(handle.spawn(task));
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

/// A task whose panic is kept for the verdict.
struct Caught<F> {
    machine: Arc<Machine>,
    task: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Future for Caught<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match catch_unwind(AssertUnwindSafe(|| self.task.as_mut().poll(cx))) {
            Ok(poll) => poll,
            Err(payload) => {
                let text = panic_text(&*payload);
                self.machine.process().panicked.push(text);
                Poll::Ready(())
            }
        }
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Machine").field(&self.name).finish()
    }
}

impl fmt::Debug for SimRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimRuntime").field(&self.0.name).finish()
    }
}
