use std::sync::Arc;
use std::time::Duration;

use dlock_core::LockName;

use super::evidence::{Evidence, span};
use super::parts::{Actor, LOCK, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::SimRedis;
use crate::broken::client::{self, Naive};
use crate::broken::store::plain_redis::{self, simple};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "ttl-underflow",
    title: "the server answers so slowly that the TTL is over when C1 hears of its grant",
    section: Section::Bug,
    lesson: "A client may count on its lock for the TTL, less the time that the answer took. \
             If the answer took longer than the TTL, less than nothing is left. \
             A program that calculates with numbers that cannot be negative gets a huge one instead, and believes that it holds the lock for ever. \
             Such a grant must be renewed before anybody uses it, or given back.",
    source: "redlock 2.0, whose validity becomes 2^64 - 1",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S7],
            outcome: believes_for_ever,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: never_valid,
        },
    ],
    ttl_ms: 1000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
    instead,
};

/// What C1 has to spare.
const BUDGET: Duration = Duration::from_secs(3);

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
    let slow = FaultKind::Slow {
        node: "redis-1".to_owned(),
        ms: 700,
    };
    vec![fault(200, 4300, slow)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        let is_first = actor.client.number() == 1;
        actor.at(if is_first { 500 } else { 2000 }).await;
        if way == Way::Naive {
            return naively(&actor, is_first).await;
        }
        let lock = match is_first {
            true => actor.lock().wait(BUDGET),
            false => actor.lock(),
        };
        if let Ok(guard) = lock.acquire().await {
            actor.read(&guard).await;
            actor.write(&guard).await;
            let _ = guard.release().await;
        }
    })
}

async fn naively(actor: &Actor, is_first: bool) {
    let Ok(name) = LockName::new(LOCK) else {
        return;
    };
    let naive = Naive::new(actor.client.clone(), client::Flaw::ValidityWraps);
    let Some(guard) = naive.acquire(&name).await else {
        return;
    };
    actor.read(&guard).await;
    // C1 is at it for longer, sure of its lock.
    actor.at(if is_first { 5500 } else { 5000 }).await;
    if guard.check() {
        actor.write(&guard).await;
    }
    guard.release();
}

fn believes_for_ever(evidence: &Evidence<'_>) -> Result<String, String> {
    let years = evidence.believed_years("c1").ok_or("C1 got no lock")?;
    if years < 50 {
        return Err(format!("C1 believed in its lock for {years} years"));
    }
    let (first, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    Ok(format!(
        "C1 believed that its lock of 1.0 s was valid for {years} years: {} and {} both held it, for {}.",
        upper(first),
        upper(second),
        span(ns)
    ))
}

fn never_valid(evidence: &Evidence<'_>) -> Result<String, String> {
    if !evidence.grants("c1").is_empty() {
        return Err("C1 was given the lock".to_owned());
    }
    let asked = *evidence.asked("c1").first().ok_or("C1 did not ask")?;
    let refusals = evidence.refusals("c1");
    let (told, why) = *refusals.first().ok_or("C1 was told nothing")?;
    if why != "too_slow" {
        return Err(format!("C1 was told `{why}`"));
    }
    let granted = evidence.grants("c2");
    let granted = granted.first().ok_or("C2 did not get the lock")?.t_ns;
    if granted < 4_500_000_000 {
        return Err(format!("C2 was given the lock at {}", span(granted)));
    }
    Ok(format!(
        "C1 was told after {} that the server is too slow for this TTL; C2 got the lock when the server was quick again.",
        span(told - asked)
    ))
}
