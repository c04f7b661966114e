use std::sync::Arc;
use std::time::Duration;

use super::evidence::{Evidence, span};
use super::parts::{Actor, free_before};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::SimRedis;
use crate::broken::store::by_message::{Told, by_message};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "dead-head",
    title: "C1 holds, C2 and C3 queue in this order; C2 dies; C1 releases",
    section: Section::Bug,
    lesson: "A fair lock goes to those who wait in the order in which they came, so a release hands it to the first in the queue. \
             But the first may have died while it waited, and its place in the queue does not show that. \
             If the lock is for that client alone, everybody behind it waits although nobody works. \
             So the first must come and take it within a short time; then it loses its turn to the next.",
    source: "redisson#1104, redisson#2099",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::L2],
            outcome: waited_behind_the_dead,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: took_its_turn,
        },
    ],
    ttl_ms: 4000,
    clients: 3,
    active_ms: 4500,
    faults,
    job,
    instead,
};

/// What C3 has to spare.
const BUDGET: Duration = Duration::from_secs(9);

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    match way {
        Way::Naive => Some(Arc::new(by_message(SimRedis::single(), Told::TheHead))),
        _ => None,
    }
}

fn faults() -> Vec<Fault> {
    let death = FaultKind::Kill {
        node: "c2".to_owned(),
    };
    vec![fault(2000, 2500, death)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => actor.long_turn(200, 3000).await,
            // Started anew, it has forgotten what it wanted.
            2 if actor.is_past(2000) => {}
            2 => actor.one_turn(1000).await,
            _ => {
                actor.at(1500).await;
                if let Ok(guard) = actor.lock().wait(BUDGET).acquire().await {
                    actor.read(&guard).await;
                    actor.write(&guard).await;
                    let _ = guard.release().await;
                }
            }
        }
    })
}

fn waited_behind_the_dead(evidence: &Evidence<'_>) -> Result<String, String> {
    match (
        evidence.refusals("c3").first(),
        evidence.lock_ends().first(),
    ) {
        (Some((told, "timed_out")), Some(freed)) => Ok(format!(
            "The lock was free for {} while C3 waited behind C2, which was dead; then C3 gave up.",
            span(told - freed)
        )),
        _ => Err("C3 did not wait in vain".to_owned()),
    }
}

fn took_its_turn(evidence: &Evidence<'_>) -> Result<String, String> {
    if !evidence.grants("c2").is_empty() {
        return Err("C2 was granted the lock".to_owned());
    }
    let free = free_before(evidence, "c3")?;
    if !(300_000_000..1_000_000_000).contains(&free) {
        return Err(format!("C3 had the lock after {}", span(free)));
    }
    Ok(format!(
        "C2 was first in the queue and dead; C3 had the lock {} after C1's release.",
        span(free)
    ))
}
