//! Named schedules: each shows one way in which locks fail, unfenced and fenced. One file each.
//!
//! They are the witnesses of what the stores declare as violable: a caveat is shown, not asserted.

mod deleted_key;
mod etcd_leader_extends;
mod etcd_restore;
mod etcd_restored_orphan;
mod evicted;
mod gc_pause;
mod lease_heartbeat;
mod parts;
mod replica_clock_behind;
mod replica_loss;
mod server_clock_back;
mod server_clock_back_past_retention;
mod server_clock_forward;
mod split_brain_primary;
mod stale_etcd_leader;
mod vm_pause;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::checker::Property;
use crate::client::{OwnResources, SimClient};
use crate::faults::{Fault, FaultKind, Plan};
use crate::service::SimStore;
use crate::simulation::{Ask, Judgement, Played, Schedule};
use crate::trace::{Event, Kind, Verdict};

/// A named schedule.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Scenario {
    /// As on the command line.
    pub name: &'static str,
    /// What happens, in one sentence.
    pub title: &'static str,
    /// The stores on which it runs; the first is the usual one.
    pub stores: &'static [&'static str],
    /// What must be violated, and so shows that the caveat is real, when nobody is fenced.
    pub unfenced: &'static [Property],
    /// What must be violated behind a fence, too: a fence protects data, it does not keep a lock.
    pub fenced: &'static [Property],
    /// Whether the fence must refuse somebody.
    pub refuses: bool,
    ttl_ms: u64,
    clients: usize,
    active_ms: u64,
    faults: fn() -> Vec<Fault>,
    job: fn(SimClient, Fencing) -> JobFuture,
}

type JobFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Whether the scenario's clients show their tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fencing {
    /// They write as they please.
    Unfenced,
    /// They claim before they read, and write with their token.
    Fenced,
}

/// A scenario that was played.
#[derive(Debug)]
#[non_exhaustive]
pub struct Shown {
    /// What the checker says.
    pub judgement: Judgement,
    /// The plan.
    pub plan: Plan,
    /// The trace's header.
    pub header: crate::trace::Header,
    /// The trace.
    pub events: Vec<Event>,
    /// How many accesses the fence refused.
    pub refused: usize,
    /// What is not as the scenario says; empty when all is.
    pub surprises: Vec<String>,
}

/// All scenarios.
pub const ALL: &[Scenario] = &[
    gc_pause::SCENARIO,
    replica_loss::SCENARIO,
    lease_heartbeat::SCENARIO,
    split_brain_primary::SCENARIO,
    replica_clock_behind::SCENARIO,
    vm_pause::SCENARIO,
    evicted::SCENARIO,
    deleted_key::SCENARIO,
    server_clock_forward::SCENARIO,
    server_clock_back::SCENARIO,
    server_clock_back_past_retention::SCENARIO,
    stale_etcd_leader::SCENARIO,
    etcd_leader_extends::SCENARIO,
    etcd_restore::SCENARIO,
    etcd_restored_orphan::SCENARIO,
];

/// The scenario of this name.
pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// Plays it.
    pub fn show(&self, store: Arc<dyn SimStore>, seed: u64, fencing: Fencing) -> Shown {
        let plan = self.plan(store.name(), seed);
        self.show_plan(store, plan, fencing)
    }

    /// Plays it with another plan: a shrunk one, say.
    pub fn show_plan(&self, store: Arc<dyn SimStore>, plan: Plan, fencing: Fencing) -> Shown {
        let job = self.job;
        let schedule = Schedule {
            liveness_bound: Duration::from_secs(60),
            store,
            job: Arc::new(move |client| job(client, fencing)),
            own: OwnResources::default(),
            repeat: false,
            fewest_grants: 0,
            verbose: true,
            plan,
        };
        let played = schedule.play();
        self.judge(&schedule, played, fencing)
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

    fn judge(&self, schedule: &Schedule, played: Played, fencing: Fencing) -> Shown {
        let capabilities = schedule.store.capabilities();
        let ask = Ask::Just(Vec::new());
        let judgement = Judgement::of(&played, &schedule.plan, &capabilities, &ask);
        let mut surprises: Vec<String> = played.failures.clone();
        let invalid = |property: Property| {
            let result = judgement.report.of(property);
            result.is_some_and(|result| result.verdict == Verdict::Invalid)
        };
        let expected = match fencing {
            Fencing::Unfenced => self.unfenced,
            Fencing::Fenced => self.fenced,
        };
        for property in expected.iter().filter(|property| !invalid(**property)) {
            surprises.push(format!("{property} was not violated"));
        }
        let refused = played.events.iter().filter(is_refusal).count();
        if fencing == Fencing::Fenced {
            if invalid(Property::S3) {
                surprises.push("a stale holder got past the fence".to_owned());
            }
            if self.refuses && refused == 0 {
                surprises.push("the fence refused nobody".to_owned());
            }
        }
        Shown {
            judgement,
            plan: schedule.plan.clone(),
            header: played.header,
            events: played.events,
            refused,
            surprises,
        }
    }
}

fn is_refusal(event: &&Event) -> bool {
    matches!(
        event.kind,
        Kind::Storage {
            accepted: false,
            ..
        }
    )
}

/// A fault of a scenario.
fn fault(at_ms: u64, for_ms: u64, kind: FaultKind) -> Fault {
    Fault {
        at_ms,
        for_ms,
        kind,
    }
}
