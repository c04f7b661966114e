use std::sync::Arc;

use super::evidence::{Evidence, span};
use super::parts::{self, Actor, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::broken::store::etcd_recipe::{Flaw, recipe};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::AuthorityEnd;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "deleted-key",
    title: "an operator deletes the key of a lock whose lease is kept alive; C2 acquires",
    section: Section::Bug,
    lesson: "On etcd a lock is a key, and the key hangs on a lease that the holder keeps alive. \
             If somebody deletes the key by hand, the lock is free, but the lease lives on: every renewal is answered as if nothing had happened. \
             A client that looks only at its lease, one that it shares among several locks perhaps, never notices. \
             The holder has to watch its own key: then it is told within milliseconds, and stops.",
    source: "reproduced with an etcd client whose locks share one keepalive: it is never told",
    stores: &["etcd"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S7, Property::S8],
            outcome: never_noticed,
        },
        Take {
            way: Way::Ours,
            violates: &[Property::S7],
            outcome: told_at_once,
        },
    ],
    ttl_ms: 6000,
    clients: 2,
    active_ms: 10_000,
    faults,
    job,
    instead,
};

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    match way {
        Way::Naive => Some(Arc::new(recipe(Flaw::KeepsLeaseOnly))),
        _ => None,
    }
}

fn faults() -> Vec<Fault> {
    let delete = FaultKind::DeleteLock {
        name: parts::LOCK.to_owned(),
    };
    vec![fault(2000, 0, delete)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => actor.long_turn(200, 8000).await,
            _ => actor.long_turn(1000, 6500).await,
        }
    })
}

/// When the operator deleted C1's key.
fn deleted(evidence: &Evidence<'_>) -> Result<u64, String> {
    let grants = evidence.grants("c1");
    let grant = grants.first().ok_or("C1 did not get the lock")?;
    match evidence.authority_ended(grant.attempt) {
        Some((t_ns, AuthorityEnd::Dropped)) => Ok(t_ns),
        _ => Err("C1's key was not deleted".to_owned()),
    }
}

fn never_noticed(evidence: &Evidence<'_>) -> Result<String, String> {
    let deleted = deleted(evidence)?;
    let &(ended, how) = evidence.ends("c1").first().ok_or("C1 did not let go")?;
    if how != "released" {
        return Err(format!("C1 noticed ({how})"));
    }
    let (_, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    Ok(format!(
        "C1 held on for {} after its key was deleted, and never noticed: it and {} both believed for {}.",
        span(ended - deleted),
        upper(second),
        span(ns),
    ))
}

fn told_at_once(evidence: &Evidence<'_>) -> Result<String, String> {
    let deleted = deleted(evidence)?;
    let &(told, how) = evidence.ends("c1").first().ok_or("C1 was told nothing")?;
    if how != "not_owner" || told - deleted > 100_000_000 {
        return Err(format!("C1 was told {how} {} later", span(told - deleted)));
    }
    if evidence.wrote_after("c1", deleted) {
        return Err("C1 wrote after its loss".to_owned());
    }
    let taken = evidence.grants("c2");
    let taken = taken.first().ok_or("C2 did not get the lock")?;
    Ok(format!(
        "C1 was told that the lock is not its own {} after its key was deleted, and wrote nothing more; C2 got the lock {} after the deletion.",
        span(told - deleted),
        span(taken.t_ns - deleted),
    ))
}
