use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::failure::{folder, write};
use super::shrink::shrink;
use super::{Ask, Failure, Job, Judgement, Played, Schedule, client_names, lock_names};
use crate::checker::Property;
use crate::client::{OwnResources, ProtectedResource, SimClient};
use crate::faults::{Faults, Ground, Plan, generate, random_core};
use crate::service::SimStore;
use crate::trace::{Trace, Verdict};
use crate::world::nanos;

/// Runs your own critical section against the real store code in many simulated worlds.
///
/// ```no_run
/// # #[cfg(feature = "redis")] {
/// use dlock_sim::{Faults, Property, SimClient, SimRedis, Simulation};
///
/// async fn my_job(client: SimClient) {
///     let db = client.resource("db");
///     let Ok(guard) = client.locker().lock("invoice-42").acquire().await else { return };
///     let Ok(total) = db.claim(&guard).await else { return };
///     let _ = db.write(&guard, total.as_u64().unwrap_or(0) + 1).await;
///     let _ = guard.release().await;
/// }
///
/// Simulation::new()
///     .store(SimRedis::primary_with_replica())
///     .clients(3, my_job)
///     .faults(Faults::swarm())
///     .seeds(0..200)
///     .check(Property::NoStaleWrite)
///     .run();
/// # }
/// ```
///
/// Each seed is one schedule: ten virtual seconds in which every client does its job again and again while faults
/// come and go, then a quiet time in which everybody must get what they wait for. The same seed gives the same
/// schedule, in every process, with plain `cargo test`.
#[must_use = "nothing runs until `run()`"]
pub struct Simulation {
    title: String,
    /// The test that this is part of, as `cargo test` knows it.
    test: Option<String>,
    store: Option<Arc<dyn SimStore>>,
    clients: usize,
    job: Option<Job>,
    own: OwnResources,
    repeat: bool,
    faults: Faults,
    seeds: Vec<u64>,
    ask: Ask,
    names: usize,
    ttl: Duration,
    active: Duration,
    calm: Duration,
    step: Duration,
    fewest_grants: u64,
    plan: Option<Plan>,
    replay: Option<Replay>,
    shrinks: bool,
    progress: Option<Progress>,
}

/// How a failed plan is played again.
type Replay = Arc<dyn Fn(&Path) -> String + Send + Sync>;
type Progress = Box<dyn FnMut(&Summary)>;

/// What many runs came to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// How many schedules were played.
    pub schedules: u64,
    /// In how many of them at least two clients contended, so that exclusion was put to the test.
    pub exercised: u64,
    /// In how many of them each property was put to the test.
    pub tested: std::collections::BTreeMap<Property, u64>,
    /// How often each property that need not hold under a plan's faults was violated.
    pub witnessed: std::collections::BTreeMap<Property, u64>,
    /// How often a lock was granted.
    pub grants: u64,
    /// How many faults there were.
    pub faults: u64,
    /// The time that passed in the worlds.
    pub simulated: Duration,
    /// The time it took.
    pub took: Duration,
    /// The fewest grants in one schedule.
    pub fewest_grants: u64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulation {
    /// Three clients, no faults, seed 0. Its title, under which failures are written, is the test's name (or the place
    /// in the code, where `cargo test` does not tell: with one test thread).
    #[track_caller]
    pub fn new() -> Self {
        let thread = std::thread::current();
        let test = thread.name().filter(|name| *name != "main");
        let here = std::panic::Location::caller();
        Self {
            title: test.map_or_else(|| here.to_string(), str::to_owned),
            test: test.map(str::to_owned),
            store: None,
            clients: 3,
            job: None,
            own: OwnResources::default(),
            repeat: true,
            faults: Faults::None,
            seeds: vec![0],
            ask: Ask::Promises,
            names: 2,
            ttl: Duration::from_secs(2),
            active: Duration::from_secs(10),
            calm: Duration::ZERO,
            step: Duration::from_millis(10),
            fewest_grants: 0,
            plan: None,
            replay: None,
            shrinks: true,
            progress: None,
        }
    }

    /// The project's own sweep: clients that use locks in all the ways in which people do, two names, all that the store
    /// promises.
    pub fn sweep(store: Arc<dyn SimStore>) -> Self {
        Self::new()
            .title("sweep")
            .shared_store(store)
            .clients(3, super::workload::sweep)
            .active(Duration::from_secs(5))
            .fewest_grants(20)
            .replay_with(|plan| format!("dlock-sim replay {}", plan.display()))
    }

    /// What it is called in traces and reports. Default: the test's name.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Which store, with which servers.
    pub fn store(mut self, store: impl SimStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// The same, chosen at run time.
    pub fn shared_store(mut self, store: Arc<dyn SimStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// How many clients, and what each of them does: again and again while the faults go on, and once more after them.
    ///
    /// The world has one thread; the job need not be `Send`. What it captures is shared by all seeds, so keep a world's
    /// state in [`SimClient::resource`].
    pub fn clients<F, Fut>(mut self, count: usize, job: F) -> Self
    where
        F: Fn(SimClient) -> Fut + Send + Sync + 'static,
        Fut: Future + 'static,
    {
        self.clients = count;
        self.job = Some(Arc::new(move |client| {
            let job = job(client);
            Box::pin(async move {
                job.await;
            })
        }));
        self
    }

    /// Another number of clients for the same job.
    pub fn client_count(mut self, count: usize) -> Self {
        self.clients = count;
        self
    }

    /// A protected resource of your own, made anew for each schedule. Clients reach it with
    /// [`SimClient::resource_of`].
    pub fn resource<R: ProtectedResource>(
        mut self,
        name: impl Into<String>,
        make: impl Fn() -> R + Send + Sync + 'static,
    ) -> Self {
        self.own.add(name.into(), make);
        self
    }

    /// Each client does its job once.
    pub fn once(mut self) -> Self {
        self.repeat = false;
        self
    }

    /// What goes wrong. Default: nothing.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Which seeds. Default: 0.
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = u64>) -> Self {
        self.seeds = seeds.into_iter().collect();
        self
    }

    /// Fails on a violation of this property, whatever the store promises. May be called more than once. Default: all
    /// that the store promises under the faults, and liveness.
    pub fn check(mut self, property: Property) -> Self {
        match &mut self.ask {
            Ask::Just(properties) => properties.push(property),
            Ask::Promises => self.ask = Ask::Just(vec![property]),
        }
        self
    }

    /// How many names [`SimClient::lock_names`] has. Default 2.
    pub fn lock_names(mut self, count: usize) -> Self {
        self.names = count;
        self
    }

    /// What [`SimClient::ttl`] says, and what the faults' durations are made for. Default 2 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long the clients work, and faults happen. Default 10 s.
    pub fn active(mut self, active: Duration) -> Self {
        self.active = active;
        self
    }

    /// How long the clients go on after the faults. Default 0: each finishes what it has begun. Fairness and lost wakeups
    /// count once clients had 5 s to connect again; give them time if it is these that you want to see.
    pub fn calm(mut self, calm: Duration) -> Self {
        self.calm = calm;
        self
    }

    /// How fine time is: messages arrive at the beginning of a step. Default 10 ms.
    pub fn step(mut self, step: Duration) -> Self {
        self.step = step.max(Duration::from_micros(1));
        self
    }

    /// Clients go on, even when the time of the faults is over, until locks were granted so often. Default 0.
    pub fn fewest_grants(mut self, count: u64) -> Self {
        self.fewest_grants = count;
        self
    }

    /// Plays this plan instead of seeds.
    pub fn plan(mut self, plan: Plan) -> Self {
        self.plan = Some(plan);
        self
    }

    /// How the command line for playing a plan again is written. Default: `DLOCK_SIM_PLAN=… cargo test <test> -- --exact`.
    pub fn replay_with(mut self, replay: impl Fn(&Path) -> String + Send + Sync + 'static) -> Self {
        self.replay = Some(Arc::new(replay));
        self
    }

    /// Whether a failing plan is shrunk. Default: yes.
    pub fn shrink(mut self, shrinks: bool) -> Self {
        self.shrinks = shrinks;
        self
    }

    /// Is told after each schedule.
    pub fn progress(mut self, progress: impl FnMut(&Summary) + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Plays all seeds, or the plan that the environment variable `DLOCK_SIM_PLAN` names. Says every five seconds on the
    /// standard error how far it is (`cargo test -- --nocapture` shows it), if nobody else is [told](Self::progress).
    ///
    /// # Panics
    ///
    /// When something is broken, with the shrunk schedule and the command that plays it again.
    pub fn run(mut self) -> Summary {
        if self.progress.is_none() {
            self.progress = Some(Box::new(aloud(self.title.clone(), self.seeds.len())));
        }
        match self.try_run() {
            Ok(summary) => summary,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// The same without the panic.
    pub fn try_run(self) -> Result<Summary, Box<Failure>> {
        let (summary, failures) = self.explore(1)?;
        match failures.into_iter().next() {
            Some(failure) => Err(Box::new(failure)),
            None => Ok(summary),
        }
    }

    /// Goes on after a failure, until there are so many. An error: the simulation itself makes no sense.
    pub fn explore(mut self, most: usize) -> Result<(Summary, Vec<Failure>), Box<Failure>> {
        let (store, job) = self.parts()?;
        let plans: Vec<Plan> = match self
            .plan
            .take()
            .map_or_else(from_environment, |plan| Ok(Some(plan)))
        {
            Ok(Some(plan)) => vec![plan],
            Ok(None) => Vec::new(),
            Err(problem) => return Err(self.misused(&problem)),
        };
        let seeds = std::mem::take(&mut self.seeds);
        let replayed = !plans.is_empty();
        let plans: Box<dyn Iterator<Item = Plan>> = if replayed {
            Box::new(plans.into_iter())
        } else {
            let made: Vec<Plan> = seeds
                .into_iter()
                .map(|seed| self.plan_of(seed, &*store))
                .collect();
            Box::new(made.into_iter())
        };
        let mut failures = Vec::new();
        let mut summary = Summary {
            fewest_grants: u64::MAX,
            ..Summary::default()
        };
        #[allow(clippy::disallowed_methods)] // How fast the simulator is: no part of any world.
        let began = Instant::now();
        for plan in plans {
            let schedule = self.schedule(plan, &store, &job)?;
            let played = schedule.play();
            let capabilities = store.capabilities();
            let judgement = Judgement::of(&played, &schedule.plan, &capabilities, &self.ask);
            if !judgement.holds() {
                let failure = self.failed(&schedule, &judgement, summary.schedules, replayed);
                failures.push(failure);
                if failures.len() >= most {
                    break;
                }
                continue;
            }
            summary.add(&schedule.plan, &played, &judgement);
            summary.took = began.elapsed();
            if let Some(progress) = &mut self.progress {
                progress(&summary);
            }
        }
        Ok((summary, failures))
    }

    /// What happens under this seed, with every message: the same seed gives the same bytes ([`Trace::write`]), in
    /// every process. Asks nothing of it.
    pub fn trace_of(&self, seed: u64) -> Result<Trace, Box<Failure>> {
        let (store, job) = self.parts()?;
        let mut schedule = self.schedule(self.plan_of(seed, &*store), &store, &job)?;
        schedule.verbose = true;
        let Played { header, events, .. } = schedule.play();
        Ok(Trace { header, events })
    }

    fn parts(&self) -> Result<(Arc<dyn SimStore>, Job), Box<Failure>> {
        match (&self.store, &self.job) {
            (Some(store), Some(job)) => Ok((store.clone(), job.clone())),
            _ => Err(self.misused("say `.store(…)` and `.clients(…)` before `.run()`")),
        }
    }

    fn schedule(
        &self,
        plan: Plan,
        store: &Arc<dyn SimStore>,
        job: &Job,
    ) -> Result<Schedule, Box<Failure>> {
        if plan.store != store.name() {
            return Err(self.misused(&format!(
                "this plan is for the store `{}`, and this simulation has `{}`",
                plan.store,
                store.name()
            )));
        }
        if let Err(problem) = plan.check(&Schedule::nodes(&plan, &**store)) {
            return Err(self.misused(&problem));
        }
        Ok(Schedule {
            liveness_bound: self.liveness_bound(&plan),
            plan,
            store: store.clone(),
            job: job.clone(),
            own: self.own.clone(),
            repeat: self.repeat,
            fewest_grants: self.fewest_grants,
            verbose: false,
        })
    }

    fn plan_of(&self, seed: u64, store: &dyn SimStore) -> Plan {
        let (ttl_ms, active_ms) = (ms(self.ttl), ms(self.active));
        let mut core = None;
        let faults = match &self.faults {
            Faults::None => Vec::new(),
            Faults::Fixed(faults) => faults.clone(),
            Faults::Swarm(swarm) => {
                let ground = Ground {
                    store: store.name(),
                    clients: &client_names(self.clients),
                    servers: &store.servers(),
                    names: &lock_names(self.names),
                    ttl_ms,
                    active_ms,
                };
                core = random_core(*swarm, seed, &ground);
                generate(*swarm, seed, &ground)
            }
        };
        Plan {
            schema: Plan::SCHEMA.to_owned(),
            workload: self.title.clone(),
            store: store.name().to_owned(),
            seed,
            clients: self.clients,
            names: self.names,
            ttl_ms,
            active_ms,
            calm_ms: ms(self.calm),
            step_us: nanos(self.step) / 1000,
            core,
            faults,
        }
    }

    /// Two TTLs for what the faults left behind, and the time in which clients find new connections.
    fn liveness_bound(&self, plan: &Plan) -> Duration {
        2 * Duration::from_millis(plan.ttl_ms) + Duration::from_secs(20)
    }

    fn failed(
        &self,
        schedule: &Schedule,
        judgement: &Judgement,
        held_before: u64,
        replayed: bool,
    ) -> Failure {
        let property = judgement.broken.first().and_then(|broken| broken.property);
        let plan = if self.shrinks && !replayed {
            shrink(schedule, &self.ask, property)
        } else {
            schedule.plan.clone()
        };
        let mut shrunk = schedule.with_plan(plan);
        shrunk.verbose = true;
        let played = shrunk.play();
        let capabilities = shrunk.store.capabilities();
        let judgement = Judgement::of(&played, &shrunk.plan, &capabilities, &self.ask);
        let place = folder(&self.title, schedule.plan.seed);
        let at = place.join("plan.json");
        let replay = match &self.replay {
            Some(replay) => replay(&at),
            None => format!(
                "DLOCK_SIM_PLAN={} cargo test {} -- --exact",
                absolute(&at).display(),
                self.test.as_deref().unwrap_or("<the name of this test>")
            ),
        };
        let broken = judgement.broken.first().and_then(|broken| broken.property);
        let files = write(
            &place,
            &shrunk.plan,
            played,
            &judgement.report,
            broken,
            &replay,
        )
        .ok();
        Failure {
            title: self.title.clone(),
            seed: schedule.plan.seed,
            held_before,
            broken: judgement.broken,
            faults_before: schedule.plan.faults.len(),
            plan: shrunk.plan,
            files,
            replay: Some(replay),
        }
    }

    fn misused(&self, problem: &str) -> Box<Failure> {
        let plan = Plan {
            schema: Plan::SCHEMA.to_owned(),
            workload: self.title.clone(),
            store: self
                .store
                .as_ref()
                .map_or("none", |store| store.name())
                .to_owned(),
            seed: 0,
            clients: self.clients,
            names: self.names,
            ttl_ms: ms(self.ttl),
            active_ms: ms(self.active),
            calm_ms: 0,
            step_us: nanos(self.step) / 1000,
            core: None,
            faults: Vec::new(),
        };
        Box::new(Failure {
            title: self.title.clone(),
            seed: 0,
            held_before: 0,
            broken: vec![super::Broken {
                property: None,
                message: problem.to_owned(),
            }],
            faults_before: 0,
            plan,
            files: None,
            replay: None,
        })
    }
}

impl Summary {
    fn add(&mut self, plan: &Plan, played: &Played, judgement: &Judgement) {
        self.schedules += 1;
        if judgement.report.verdict != Verdict::Unknown {
            self.exercised += 1;
        }
        for result in &judgement.report.properties {
            if result.verdict != Verdict::Unknown {
                *self.tested.entry(result.property).or_default() += 1;
            }
        }
        for property in &judgement.witnessed {
            *self.witnessed.entry(*property).or_default() += 1;
        }
        let grants = played.grants();
        self.grants += grants;
        self.fewest_grants = self.fewest_grants.min(grants);
        self.faults += plan.faults.len() as u64;
        self.simulated += played.simulated;
    }

    /// Schedules per second of wall time.
    pub fn rate(&self) -> f64 {
        self.schedules as f64 / self.took.as_secs_f64().max(1e-9)
    }

    /// Simulated seconds per second of wall time.
    pub fn ratio(&self) -> f64 {
        self.simulated.as_secs_f64() / self.took.as_secs_f64().max(1e-9)
    }
}

/// One line for people.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} schedules ({} with contention), {} grants, {} faults, {:.0} simulated seconds; {:.1} schedules/s, {:.0} times as fast as real time",
            self.schedules,
            self.exercised,
            self.grants,
            self.faults,
            self.simulated.as_secs_f64(),
            self.rate(),
            self.ratio()
        )
    }
}

fn aloud(title: String, total: usize) -> impl FnMut(&Summary) {
    let mut told = Duration::ZERO;
    move |summary| {
        if summary.took >= told + Duration::from_secs(5) {
            told = summary.took;
            let (played, rate) = (summary.schedules, summary.rate());
            eprintln!("{title}: {played} of {total} schedules held, {rate:.1} a second");
        }
    }
}

fn from_environment() -> Result<Option<Plan>, String> {
    let Some(path) = std::env::var_os("DLOCK_SIM_PLAN") else {
        return Ok(None);
    };
    let plan = Plan::load(path).map_err(|error| error.to_string())?;
    Ok(Some(plan))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
