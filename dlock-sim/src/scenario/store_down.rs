use std::sync::Arc;
use std::time::Duration;

use dlock_core::LockName;
use dlock_core::runtime::timeout;

use super::evidence::{Evidence, span};
use super::parts::{Actor, LOCK};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::SimRedis;
use crate::broken::client::{self, Naive};
use crate::broken::store::plain_redis::{self, simple};
use crate::client::SimClient;
use crate::faults::{Disk, Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::Kind;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "store-down",
    title: "the server is down when C1 asks for the lock, with 3 s to spare",
    section: Section::Bug,
    lesson: "Whoever asks for a lock says how long it can wait, because somebody waits for it in turn. \
             If the server is down, a client that only counts the time for which somebody else has the lock never reaches that limit: it connects again and again, or waits for a connection that nobody accepts. \
             The limit must hold for all of it: connecting, asking, and waiting for the answer. \
             And the error must say that the server failed, not that somebody else has the lock.",
    source: "rslock 0.10, whose acquire never returns while the server is down",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[],
            outcome: never_told,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: told_in_time,
        },
    ],
    ttl_ms: 3000,
    clients: 2,
    active_ms: 12_000,
    faults,
    job,
    instead,
};

/// What C1 has to spare.
const BUDGET: Duration = Duration::from_secs(3);

/// When somebody looks after it.
const KILLED: Duration = Duration::from_secs(8);

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    match way {
        Way::Naive => Some(Arc::new(simple(
            SimRedis::single(),
            plain_redis::Flaw::None,
        ))),
        _ => None,
    }
}

fn faults() -> Vec<Fault> {
    let down = FaultKind::Restart {
        node: "redis-1".to_owned(),
        disk: Disk::Kept,
    };
    vec![fault(500, 9500, down)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        if actor.client.number() != 1 {
            // After the server has come back.
            return actor.one_turn(10_500).await;
        }
        actor.at(1000).await;
        match way {
            Way::Naive => with_a_budget_for_others(&actor).await,
            _ => drop(actor.lock().wait(BUDGET).acquire().await),
        }
    })
}

/// Its budget counts while somebody else has the lock; that nobody answers is not counted.
async fn with_a_budget_for_others(actor: &Actor) {
    let Ok(name) = LockName::new(LOCK) else {
        return;
    };
    let naive = Naive::new(actor.client.clone(), client::Flaw::None).waiting(BUDGET);
    let runtime = actor.client.runtime();
    let _ = timeout(&*runtime, runtime.now() + KILLED, naive.acquire(&name)).await;
}

fn never_told(evidence: &Evidence<'_>) -> Result<String, String> {
    let asked = *evidence.asked("c1").first().ok_or("C1 did not ask")?;
    if !evidence.grants("c1").is_empty() || !evidence.refusals("c1").is_empty() {
        return Err("C1 was told something".to_owned());
    }
    let given_up = evidence.given_up("c1");
    let given_up = *given_up.first().ok_or("C1 was not stopped")?;
    Ok(format!(
        "C1 had {} to spare, and was told nothing until somebody stopped it after {}.",
        span(spare(evidence)?),
        span(given_up - asked)
    ))
}

/// What C1 said that it can wait.
fn spare(evidence: &Evidence<'_>) -> Result<u64, String> {
    let spare = evidence.events.iter().find_map(|event| match event.kind {
        Kind::Acquire { wait_ns, .. } if event.node == "c1" => wait_ns,
        _ => None,
    });
    let spare = spare.ok_or("C1 did not say how long it can wait")?;
    match u128::from(spare) == BUDGET.as_nanos() {
        true => Ok(spare),
        false => Err(format!("C1 had {} to spare", span(spare))),
    }
}

fn told_in_time(evidence: &Evidence<'_>) -> Result<String, String> {
    let asked = *evidence.asked("c1").first().ok_or("C1 did not ask")?;
    let refusals = evidence.refusals("c1");
    let (told, why) = *refusals.first().ok_or("C1 was told nothing")?;
    if why != "store" || told - asked > 3_100_000_000 {
        return Err(format!("C1 was told `{why}` after {}", span(told - asked)));
    }
    let (_, back) = evidence
        .stopped("redis-1")
        .ok_or("the server was not down")?;
    let late = *evidence.asked("c2").first().ok_or("C2 did not ask")?;
    if !(asked..late).contains(&back) || told > back {
        return Err(format!("the server was back at {}", span(back)));
    }
    let after = *evidence
        .waits("c2")
        .first()
        .ok_or("C2 did not get the lock")?;
    if after > 1_000_000_000 {
        return Err(format!("C2 got the lock only after {}", span(after)));
    }
    Ok(format!(
        "C1 had {} to spare, and was told after {} that the server does not answer; C2 asked {} after the server was back, and had the lock {} later.",
        span(spare(evidence)?),
        span(told - asked),
        span(late - back),
        span(after)
    ))
}
