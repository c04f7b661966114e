use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dlock_core::store::Fairness;

use crate::client::{OwnResources, STORAGE, Setting, SimClient, found_storage};
use crate::faults::{Driver, Plan, SafePoints, WORLD, cut_for_good};
use crate::service::SimStore;
use crate::trace::{Event, Header, Kind, NodeInfo, Role, SCHEMA};
use crate::world::{Texture, World, nanos};

/// What a client does: all of its work, once.
pub(crate) type Job =
    Arc<dyn Fn(SimClient) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync + 'static>;

/// One run: a plan, a store, and what the clients do.
pub(crate) struct Schedule {
    pub plan: Plan,
    pub store: Arc<dyn SimStore>,
    pub job: Job,
    /// The protected resources of the code under test.
    pub own: OwnResources,
    /// Whether clients do their job again and again until the plan's time is over.
    pub repeat: bool,
    /// Clients go on until locks were granted so often.
    pub fewest_grants: u64,
    /// How long after the last fault everybody must have got what they wait for.
    pub liveness_bound: Duration,
    /// Whether the trace shows every message.
    pub verbose: bool,
}

/// A run, after it.
#[derive(Debug)]
pub(crate) struct Played {
    pub header: Header,
    pub events: Vec<Event>,
    /// What no trace says: panics, tasks that escaped, clients that never finished.
    pub failures: Vec<String>,
    pub simulated: Duration,
}

/// After so many steps somebody looks for panics and tasks that have escaped.
const LOOKS_EVERY: u32 = 4;

/// How long the world goes on after the last client has finished: for orphans to end.
const AFTERMATH: Duration = Duration::from_millis(1200);

impl Played {
    /// How often a lock was granted.
    pub fn grants(&self) -> u64 {
        let granted = |event: &&Event| matches!(event.kind, Kind::Granted { .. });
        self.events.iter().filter(granted).count() as u64
    }
}

impl Schedule {
    /// The names of all machines in this plan's world.
    pub fn nodes(plan: &Plan, store: &dyn SimStore) -> Vec<String> {
        let mut nodes = store.servers();
        nodes.push(STORAGE.to_owned());
        nodes.extend(client_names(plan.clients));
        nodes
    }

    /// The same with another plan.
    pub fn with_plan(&self, plan: Plan) -> Self {
        Self {
            plan,
            store: self.store.clone(),
            job: self.job.clone(),
            own: self.own.clone(),
            ..*self
        }
    }

    /// Plays it.
    pub fn play(&self) -> Played {
        let plan = &self.plan;
        let texture = Texture::with_step(Duration::from_micros(plan.step_us));
        let mut world = World::new(plan.seed, texture);
        let service = self.store.found(&mut world, self.verbose);
        found_storage(&mut world, &self.own);
        let points = SafePoints::default();
        let finished = Finished::default();
        let names: Arc<[String]> = lock_names(plan.names).into();
        let clients = client_names(plan.clients);
        for (index, name) in clients.iter().enumerate() {
            let machine = world.machine(name, Role::Client);
            let setting = Setting {
                machine: machine.clone(),
                number: index + 1,
                names: names.clone(),
                ttl: Duration::from_millis(plan.ttl_ms),
                points: points.clone(),
                own: self.own.clone(),
                works_until_ns: (plan.active_ms + plan.calm_ms) * 1_000_000,
                fewest_grants: self.fewest_grants,
                verbose: self.verbose,
            };
            let process = Process {
                setting,
                service: service.clone(),
                job: self.job.clone(),
                repeat: self.repeat,
                finished: finished.clone(),
            };
            world.run(&machine, move || process.clone().run());
        }
        let mut driver = Driver::new(plan.faults.clone(), points, texture.latency_max);
        let mut failures = Vec::new();
        self.go_on(&mut world, &*service, &mut driver, &finished, &mut failures);
        look_for_accidents(&world, &mut failures);
        world.recorder().record(WORLD, Kind::End);
        Played {
            header: self.header(&world),
            events: world.recorder().events(),
            failures,
            simulated: world.elapsed(),
        }
    }

    fn go_on(
        &self,
        world: &mut World,
        service: &dyn crate::service::Service,
        driver: &mut Driver,
        finished: &Finished,
        failures: &mut Vec<String>,
    ) {
        let plan = &self.plan;
        let active = Duration::from_millis(plan.active_ms);
        let ttl = Duration::from_millis(plan.ttl_ms);
        // With time for a calm there is time for the longest orphan: of a lock that was extended.
        let aftermath = match plan.calm_ms {
            0 => ttl + AFTERMATH,
            _ => 2 * (ttl + AFTERMATH),
        };
        let awaited: BTreeSet<usize> = (1..)
            .zip(client_names(plan.clients))
            .filter(|(_, name)| plan.core.as_ref().is_none_or(|core| core.contains(name)))
            .map(|(number, _)| number)
            .collect();
        let mut healed_at = None;
        let mut ends_at = None;
        let mut steps = 0_u32;
        loop {
            driver.apply(world, service);
            if let Err(halted) = world.step() {
                failures.push(halted.to_string());
                return;
            }
            service.stepped();
            steps += 1;
            if steps.is_multiple_of(LOOKS_EVERY) {
                look_for_accidents(world, failures);
            }
            let now = world.elapsed();
            if now >= active {
                driver.disarm();
            }
            if healed_at.is_none() && now >= active && driver.is_over() {
                self.heal(world);
                healed_at = Some(now);
            }
            let Some(healed_at) = healed_at else { continue };
            if finished.has_all(&awaited) {
                let ends_at = *ends_at.get_or_insert(now + aftermath);
                if now >= ends_at {
                    return;
                }
            } else if now >= healed_at + 2 * self.liveness_bound {
                failures.push(format!(
                    "a client was not done {:?} after the last fault was over",
                    2 * self.liveness_bound
                ));
                return;
            }
        }
    }

    fn heal(&self, world: &mut World) {
        if let Some(core) = &self.plan.core {
            let outside: Vec<String> = client_names(self.plan.clients)
                .into_iter()
                .filter(|client| !core.contains(client))
                .collect();
            for client in &outside {
                for server in self.store.servers() {
                    cut_for_good(world, client, &server);
                }
                cut_for_good(world, client, STORAGE);
            }
        }
        world.recorder().record(
            WORLD,
            Kind::Healed {
                core: self.plan.core.clone(),
            },
        );
    }

    fn header(&self, world: &World) -> Header {
        let capabilities = self.store.capabilities();
        let classes = self.plan.classes();
        Header {
            schema: SCHEMA.to_owned(),
            source: "simulation".to_owned(),
            title: self.plan.workload.clone(),
            seed: Some(self.plan.seed),
            store: capabilities.store.to_owned(),
            fairness: match capabilities.fairness {
                Fairness::ByAttempt => "by_attempt",
                Fairness::ByParticipant => "by_participant",
                _ => "none",
            }
            .to_owned(),
            loss_notice_ns: capabilities.loss_notice.map(nanos),
            nodes: world
                .roles()
                .iter()
                .map(|(name, role)| NodeInfo {
                    name: name.clone(),
                    role: *role,
                })
                .collect(),
            plan: serde_json::to_value(&self.plan).unwrap_or_default(),
            fault_classes: classes.iter().map(|class| format!("{class:?}")).collect(),
            liveness_bound_ns: Some(nanos(self.liveness_bound)),
        }
    }
}

/// One client's process: what is started, and started again after it was killed.
#[derive(Clone)]
struct Process {
    setting: Setting,
    service: Arc<dyn crate::service::Service>,
    job: Job,
    repeat: bool,
    finished: Finished,
}

/// The clients that have done all of their work.
#[derive(Clone, Default)]
struct Finished(Arc<Mutex<BTreeSet<usize>>>);

impl Finished {
    fn set(&self, client: usize, done: bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if done {
            all.insert(client);
        } else {
            all.remove(&client);
        }
    }

    fn has_all(&self, clients: &BTreeSet<usize>) -> bool {
        let all = self.0.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        clients.is_subset(&all)
    }
}

impl Process {
    async fn run(self) {
        let number = self.setting.number;
        // It may have been killed after its work.
        self.finished.set(number, false);
        let store = self.service.connect(&self.setting.machine);
        let client = SimClient::begin(self.setting, store);
        loop {
            // Not all at once.
            let pause = client.random_below(100);
            client.sleep(Duration::from_millis(pause)).await;
            let last = !self.repeat || !client.works();
            (self.job)(client.clone()).await;
            if last {
                break;
            }
        }
        client.locker().close().await;
        self.finished.set(number, true);
    }
}

fn look_for_accidents(world: &World, failures: &mut Vec<String>) {
    for machine in world.machines() {
        for text in machine.take_panics() {
            failures.push(format!("{} panicked: {text}", machine.name()));
        }
        if let Some(escaped) = machine.found_escaped_tasks() {
            failures.push(format!(
                "{} runs {escaped} task(s) that a pause does not stop: spawn with `SimClient::spawn` (or the injected `Runtime`) instead of `tokio::spawn`",
                machine.name()
            ));
        }
    }
}

pub(crate) fn client_names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("c{number}")).collect()
}

pub(crate) fn lock_names(count: usize) -> Vec<String> {
    (1..=count.max(1))
        .map(|number| format!("lock-{number}"))
        .collect()
}
