use std::sync::Arc;

use super::evidence::{Evidence, span};
use super::parts::{Actor, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::broken::store::etcd_recipe::{Flaw, recipe};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "grant-to-dead-lease",
    title: "C2 is stopped while it waits, and its place in the queue ends with its lease; when it goes on, nobody stands before it",
    section: Section::Bug,
    lesson: "On etcd the clients queue for a lock: each has an entry, and the oldest entry holds. \
             An entry lives as long as its lease, and a client that is stopped while it waits renews nothing, so it loses its place. \
             If it then looks only at those before it, it finds nobody and takes that for its turn, while a later client has the lock. \
             After the wait a client must also look for its own entry, in the same request; if that is gone, it has to queue again.",
    source: "etcd#11456 and etcd#9921: Lock() returned although the session had expired during the wait",
    stores: &["etcd"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S7],
            outcome: believed,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: queued_again,
        },
    ],
    ttl_ms: 3000,
    clients: 3,
    active_ms: 12_000,
    faults,
    job,
    instead,
};

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    match way {
        Way::Naive => Some(Arc::new(recipe(Flaw::BelievesAfterTheWait))),
        _ => None,
    }
}

fn faults() -> Vec<Fault> {
    let pause = FaultKind::Pause {
        node: "c2".to_owned(),
    };
    vec![fault(1000, 6500, pause)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => actor.long_turn(200, 6000).await,
            2 => actor.long_turn(500, 8200).await,
            // Asks when C2's entry has gone, and is at work when C2 goes on.
            _ => actor.long_turn(5000, 9500).await,
        }
    })
}

fn believed(evidence: &Evidence<'_>) -> Result<String, String> {
    let (from, to) = evidence.stopped("c2").ok_or("C2 was not stopped")?;
    let (first, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    if second != "c2" {
        return Err(format!("{second} came in, not C2"));
    }
    Ok(format!(
        "C2 was stopped for {} in the queue and its lease ended; it was told that it holds the lock nevertheless, and worked beside {} for {}.",
        span(to - from),
        upper(first),
        span(ns),
    ))
}

fn queued_again(evidence: &Evidence<'_>) -> Result<String, String> {
    let (from, to) = evidence.stopped("c2").ok_or("C2 was not stopped")?;
    let (second, third) = (evidence.grants("c2"), evidence.grants("c3"));
    let second = second.first().ok_or("C2 did not get the lock")?;
    let third = third.first().ok_or("C3 did not get the lock")?;
    let &(done, _) = evidence.ends("c3").first().ok_or("C3 was not done")?;
    if second.t_ns < done || second.token < third.token {
        return Err("C2 was not sent behind C3".to_owned());
    }
    Ok(format!(
        "C2 was stopped for {} in the queue and its lease ended; it had to queue again, and got the lock {} after C3 was done, under token {} (C3 had {}).",
        span(to - from),
        span(second.t_ns - done),
        evidence.token(Some(second.token)),
        evidence.token(Some(third.token)),
    ))
}
