//! The world: machines, their clocks, the network between them, on turmoil.
//!
//! - [`World`]: hosts and links; goes on in steps.
//! - [`Machine`], [`SimRuntime`]: one machine with its process, its gate for pauses, its clocks; what the real code runs on.
//! - [`SimStream`]: a client's connection.
//! - [`WallClock`]: a server's wall clock.
//!
//! Within a step the hosts run one after the other, each through the whole step; messages pass between steps. So events
//! of two machines are in the order of their times only after sorting, and nothing but messages may pass between
//! machines within a step.

mod clock;
mod gate;
mod machine;
mod network;
mod tasks;
mod time;
mod wall_clock;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use machine::{Freeze, Machine, SimRuntime};
pub(crate) use network::Listener;
pub use network::SimStream;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
pub use time::WorldTime;
pub(crate) use time::nanos;
pub use wall_clock::WallClock;

use crate::trace::{Recorder, Role};

/// Machines and links.
pub struct World {
    sim: turmoil::Sim<'static>,
    time: Arc<WorldTime>,
    recorder: Recorder,
    machines: BTreeMap<String, Arc<Machine>>,
    roles: Vec<(String, Role)>,
    seeds: ChaCha8Rng,
}

/// The network's usual ways, and how fine time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Texture {
    /// The length of a step: messages arrive at its beginning. 10 ms for sweeps, 1 ms for a close look.
    pub step: Duration,
    /// The quickest a message travels.
    pub latency_min: Duration,
    /// The slowest, in quiet times.
    pub latency_max: Duration,
}

impl Texture {
    /// Messages that mostly arrive with the next step, and now and then with the one after it: they overtake those of
    /// other machines.
    pub fn with_step(step: Duration) -> Self {
        Self {
            step,
            latency_min: Duration::from_millis(1),
            latency_max: Duration::from_millis(10).max(2 * step),
        }
    }
}

impl Default for Texture {
    fn default() -> Self {
        Self::with_step(Duration::from_millis(10))
    }
}

/// Why a world came to a halt.
#[derive(Debug, thiserror::Error)]
#[error("the world came to a halt: {0}")]
pub struct Halted(String);

impl World {
    /// An empty world.
    pub fn new(seed: u64, texture: Texture) -> Self {
        let mut builder = turmoil::Builder::new();
        builder
            .rng_seed(seed)
            .tick_duration(texture.step)
            .min_message_latency(texture.latency_min)
            .max_message_latency(texture.latency_max)
            .simulation_duration(Duration::from_secs(1 << 30))
            .epoch(std::time::UNIX_EPOCH)
            // A paused process reads nothing, and its peers go on writing.
            .tcp_capacity(1 << 16);
        let time = Arc::new(WorldTime::default());
        Self {
            sim: builder.build(),
            recorder: Recorder::new(time.clone()),
            time,
            machines: BTreeMap::new(),
            roles: Vec::new(),
            seeds: ChaCha8Rng::seed_from_u64(seed ^ 0x6d61_6368_696e_6573),
        }
    }

    /// The trace.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// All machines and what they do, in the order of their making.
    pub fn roles(&self) -> &[(String, Role)] {
        &self.roles
    }

    /// A machine that is not running yet.
    pub fn machine(&mut self, name: &str, role: Role) -> Arc<Machine> {
        let seed = self.seeds.next_u64();
        let machine = Machine::new(name, seed, self.time.clone(), self.recorder.clone());
        let machine = Arc::new(machine);
        self.machines.insert(name.to_owned(), machine.clone());
        self.roles.push((name.to_owned(), role));
        machine
    }

    /// Runs a process on a machine, from now on and again after every crash.
    pub fn run<F, Fut>(&mut self, machine: &Arc<Machine>, process: F)
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let host = machine.clone();
        self.sim.host(machine.name(), move || {
            let machine = host.clone();
            let process = host.guard(process());
            async move {
                machine.started();
                process.await;
                // The machine goes on, for the sake of what runs in the background.
                std::future::pending::<()>().await;
                Ok(())
            }
        });
    }

    /// The machine of this name.
    pub fn find(&self, name: &str) -> Option<&Arc<Machine>> {
        self.machines.get(name)
    }

    /// One step of time.
    pub fn step(&mut self) -> Result<(), Halted> {
        self.sim.step().map_err(|error| Halted(error.to_string()))?;
        self.time.step_ended(self.sim.elapsed());
        Ok(())
    }

    /// How long the world has existed.
    pub fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    /// Kills a process. Its connections are cut.
    pub fn crash(&mut self, name: &str) {
        let Some(machine) = self.machines.get(name) else {
            return;
        };
        machine.crashing();
        self.sim.crash(name);
        machine.crashed();
    }

    /// Starts a process that was killed.
    pub fn restart(&mut self, name: &str) {
        // It drops what is left of the process before.
        if let Some(machine) = self.machines.get(name) {
            machine.crashing();
        }
        self.sim.bounce(name);
        if let Some(machine) = self.machines.get(name) {
            machine.tasks_gone();
        }
    }

    /// The network itself: partitions, latency, loss.
    pub(crate) fn network(&mut self) -> &mut turmoil::Sim<'static> {
        &mut self.sim
    }

    /// All machines.
    pub fn machines(&self) -> impl Iterator<Item = &Arc<Machine>> {
        self.machines.values()
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("elapsed", &self.elapsed())
            .field("machines", &self.machines.keys())
            .finish_non_exhaustive()
    }
}
