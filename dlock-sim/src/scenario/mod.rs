//! Named schedules: each shows one way in which locks fail, without a defence and with it. One file each.
//!
//! They are the catalogue that the pictures show, and the witnesses of what the stores declare as violable: a caveat
//! is shown, not asserted.

mod adopted_session;
mod ambiguous_acquire;
mod cancelled_acquire;
mod cancelled_release;
mod claim_before_read;
mod dead_head;
mod delayed_packet;
mod deleted_key;
mod deleted_key_unseen;
mod etcd_leader_extends;
mod etcd_restore;
mod etcd_restored_orphan;
mod evicted;
mod evidence;
mod foreign_release;
mod garbage_replies;
mod gc_pause;
mod grant_to_dead_lease;
mod late_duplicate_acquire;
mod late_loss;
mod late_renewal_shortens;
mod lease_heartbeat;
mod machine_suspend;
mod missed_wakeup;
mod parts;
mod release_before_body_ends;
mod replica_clock_behind;
mod replica_loss;
mod resurrecting_extend;
mod retried_release;
mod server_clock_back;
mod server_clock_back_past_retention;
mod server_clock_forward;
mod split_brain_primary;
mod stale_etcd_leader;
mod stale_etcd_leader_renews;
mod stale_release;
mod stampede;
mod store_down;
mod ttl_underflow;
mod vm_pause;
mod zombie_renewal;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::checker::Property;
use crate::client::{OwnResources, SimClient};
use crate::faults::{Fault, FaultKind, Plan};
use crate::service::SimStore;
use crate::simulation::{Ask, Judgement, Played, Schedule};
use crate::stores;
use crate::trace::{Trace, Verdict};
use evidence::Evidence;

/// A named schedule.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Scenario {
    /// As on the command line.
    pub name: &'static str,
    /// What happens, in one sentence.
    pub title: &'static str,
    /// What it is an example of.
    pub section: Section,
    /// Three to five sentences for somebody who has never heard of it.
    pub lesson: &'static str,
    /// Where it was seen, or who described it.
    pub source: &'static str,
    /// The stores on which it runs; the first is the usual one.
    pub stores: &'static [&'static str],
    /// The ways in which it is played, in the order in which they are shown.
    pub takes: &'static [Take],
    ttl_ms: u64,
    clients: usize,
    active_ms: u64,
    faults: fn() -> Vec<Fault>,
    job: fn(SimClient, Way) -> JobFuture,
    /// The store of a take, where it is not the real one.
    instead: fn(Way) -> Option<Arc<dyn SimStore>>,
}

/// What a scenario is an example of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// What no lock can prevent; a fence protects the data.
    Caveat,
    /// A bug that a library had, and ours must not have.
    Bug,
    /// Another exception that one of our stores declares.
    Witness,
}

/// One way in which a scenario is played, and what must come of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Take {
    /// Who plays.
    pub way: Way,
    /// The properties that are violated: all of these, and no others.
    pub violates: &'static [Property],
    /// What else must have happened, in a sentence with what was measured. An error says what did not.
    outcome: Outcome,
}

type Outcome = fn(&Evidence<'_>) -> Result<String, String>;

type JobFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Who plays a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// dlock, whose clients write as they please.
    Unfenced,
    /// dlock, whose clients claim before they read, and write with their token.
    Fenced,
    /// A simple or broken lock, whose clients write as they please.
    Naive,
    /// dlock as it is meant to be used: behind a fence.
    Ours,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Unfenced, Self::Fenced, Self::Naive, Self::Ours];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unfenced => "unfenced",
            Self::Fenced => "fenced",
            Self::Naive => "naive",
            Self::Ours => "ours",
        }
    }

    /// Whether the clients show their tokens to the fence.
    pub fn is_fenced(self) -> bool {
        matches!(self, Self::Fenced | Self::Ours)
    }
}

/// A scenario that was played.
#[derive(Debug)]
#[non_exhaustive]
pub struct Shown {
    /// Who played.
    pub way: Way,
    /// What the checker says.
    pub judgement: Judgement,
    /// The plan.
    pub plan: Plan,
    /// The trace.
    pub trace: Trace,
    /// How many accesses the fence refused.
    pub refused: usize,
    /// What came of it, in a sentence with what was measured; none if that is not as the scenario says.
    pub outcome: Option<String>,
    /// What is not as the scenario says; empty when all is.
    pub surprises: Vec<String>,
}

/// All scenarios: those of the catalogue, in its order, then other witnesses.
pub const ALL: &[Scenario] = &[
    gc_pause::SCENARIO,
    replica_loss::SCENARIO,
    lease_heartbeat::SCENARIO,
    delayed_packet::SCENARIO,
    split_brain_primary::SCENARIO,
    machine_suspend::SCENARIO,
    vm_pause::SCENARIO,
    claim_before_read::SCENARIO,
    etcd_restore::SCENARIO,
    server_clock_back::SCENARIO,
    stale_release::SCENARIO,
    retried_release::SCENARIO,
    late_duplicate_acquire::SCENARIO,
    late_renewal_shortens::SCENARIO,
    ambiguous_acquire::SCENARIO,
    cancelled_acquire::SCENARIO,
    cancelled_release::SCENARIO,
    zombie_renewal::SCENARIO,
    resurrecting_extend::SCENARIO,
    missed_wakeup::SCENARIO,
    foreign_release::SCENARIO,
    deleted_key::SCENARIO,
    dead_head::SCENARIO,
    grant_to_dead_lease::SCENARIO,
    adopted_session::SCENARIO,
    stale_etcd_leader::SCENARIO,
    late_loss::SCENARIO,
    ttl_underflow::SCENARIO,
    stampede::SCENARIO,
    release_before_body_ends::SCENARIO,
    store_down::SCENARIO,
    evicted::SCENARIO,
    garbage_replies::SCENARIO,
    deleted_key_unseen::SCENARIO,
    etcd_leader_extends::SCENARIO,
    etcd_restored_orphan::SCENARIO,
    replica_clock_behind::SCENARIO,
    server_clock_back_past_retention::SCENARIO,
    server_clock_forward::SCENARIO,
    stale_etcd_leader_renews::SCENARIO,
];

/// What the catalogue will have once there is a Redlock: names, and what happens.
pub const PENDING: &[(&str, &str)] = &[
    (
        "redlock-clock-jump",
        "one of five nodes has a clock that jumps forward and drops C1's key; C2 gets a majority",
    ),
    (
        "redlock-amnesia",
        "a node that voted for C1 restarts empty; C2 gets a majority with it",
    ),
    (
        "minority-leftovers",
        "contenders get a minority each and do not clean up: nobody ever gets the lock",
    ),
    (
        "quorum-shrinks",
        "a renewal counts its majority over the nodes that were acquired instead of over all",
    ),
];

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// The take that is played in this way.
    pub fn take(&self, way: Way) -> Option<&'static Take> {
        self.takes.iter().find(|take| take.way == way)
    }

    /// The take in which dlock plays and its exceptions show: nothing but the store protects anybody.
    pub fn bare(&self) -> Option<&'static Take> {
        self.take(Way::Unfenced).or_else(|| self.take(Way::Ours))
    }

    /// Plays it on this store; none if it does not run on it, or not in this way.
    pub fn show(&self, store: &str, seed: u64, way: Way) -> Option<Shown> {
        if !self.stores.contains(&store) {
            return None;
        }
        self.show_plan(self.plan(store, seed), way)
    }

    /// Plays it with another plan: a shrunk one, say. None if there is no such store, or no such take.
    pub fn show_plan(&self, plan: Plan, way: Way) -> Option<Shown> {
        let take = self.take(way)?;
        let real = stores::find(&plan.store)?;
        let job = self.job;
        let schedule = Schedule {
            liveness_bound: Duration::from_secs(60),
            store: (self.instead)(way).unwrap_or(real),
            job: Arc::new(move |client| job(client, way)),
            own: OwnResources::default(),
            repeat: false,
            fewest_grants: 0,
            verbose: true,
            plan,
        };
        let played = schedule.play();
        Some(take.judge(&schedule, played))
    }

    /// Its plan.
    pub fn plan(&self, store: &str, seed: u64) -> Plan {
        Plan {
            schema: Plan::SCHEMA.to_owned(),
            workload: self.name.to_owned(),
            store: store.to_owned(),
            seed,
            clients: self.clients,
            names: 1,
            ttl_ms: self.ttl_ms,
            active_ms: self.active_ms,
            calm_ms: 0,
            step_us: 1000,
            core: None,
            faults: (self.faults)(),
        }
    }
}

impl Take {
    /// What is not as this take says, of a run that may have been played in another way: a defence that is taken away
    /// must be missed.
    pub fn surprises(&self, shown: &Shown) -> Vec<String> {
        self.compare(&shown.trace, &shown.judgement).1
    }

    fn judge(&self, schedule: &Schedule, played: Played) -> Shown {
        let capabilities = schedule.store.capabilities();
        let ask = Ask::Just(Vec::new());
        let judgement = Judgement::of(&played, &schedule.plan, &capabilities, &ask);
        let Played {
            header,
            events,
            failures,
            ..
        } = played;
        let trace = Trace { header, events };
        let (outcome, surprises) = self.compare(&trace, &judgement);
        let evidence = Evidence::new(&trace.header, &trace.events);
        Shown {
            way: self.way,
            plan: schedule.plan.clone(),
            refused: evidence.refused().len(),
            outcome,
            surprises: failures.into_iter().chain(surprises).collect(),
            judgement,
            trace,
        }
    }

    /// The outcome, and what is not as it should be.
    fn compare(&self, trace: &Trace, judgement: &Judgement) -> (Option<String>, Vec<String>) {
        let mut surprises = Vec::new();
        for result in &judgement.report.properties {
            let violated = result.verdict == Verdict::Invalid;
            let property = result.property;
            match (violated, self.violates.contains(&property)) {
                (false, true) => surprises.push(format!("{property} was not violated")),
                (true, false) => {
                    let all = result.violations.iter();
                    surprises.extend(all.map(|one| format!("{property} was violated {one}")));
                }
                _ => {}
            }
        }
        let evidence = Evidence::new(&trace.header, &trace.events);
        let outcome = match (self.outcome)(&evidence) {
            Ok(outcome) => Some(outcome),
            Err(surprise) => {
                surprises.push(surprise);
                None
            }
        };
        (outcome, surprises)
    }
}

/// A fault of a scenario.
fn fault(at_ms: u64, for_ms: u64, kind: FaultKind) -> Fault {
    Fault {
        at_ms,
        for_ms,
        kind,
    }
}
