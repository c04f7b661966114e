use std::sync::Arc;

use super::evidence::{Evidence, span};
use super::parts::{Actor, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::broken::store::etcd_recipe::{Flaw, recipe};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::AuthorityEnd;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stale-etcd-leader",
    title: "the leader is stuck in fsync and replaced; when it wakes up, its revocation of a lease that was renewed meanwhile takes effect",
    section: Section::Bug,
    lesson: "One member of an etcd cluster, the leader, counts how long each lease still lives. \
             Here the leader's disk hangs, and the others choose a new one, which takes C1's renewals. \
             The old leader has heard nothing of these; when its disk comes back, it ends C1's lease, and the cluster does so, although C1 did everything right. \
             C1 cannot prevent that. If it watches its own key, it hears of it at once; if it waits for its next renewal, C2 works beside it until then.",
    source: "etcd#15247, and etcd#12528 before it",
    stores: &["etcd"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S7],
            outcome: heard_late,
        },
        Take {
            way: Way::Ours,
            violates: &[Property::S7],
            outcome: heard_at_once,
        },
    ],
    ttl_ms: 4000,
    clients: 2,
    active_ms: 13_000,
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
    let stall = FaultKind::StallDisk {
        node: "etcd-2".to_owned(),
    };
    // The clients talk to the first member, so another one has to lead.
    vec![
        fault(100, 0, FaultKind::NewLeader),
        fault(3500, 6000, stall),
    ]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => {
                actor.at(2400).await;
                if let Some(guard) = actor.acquire().await {
                    actor.read(&guard).await;
                    for ms in [10_000, 10_800] {
                        actor.at(ms).await;
                        if guard.check().is_ok() {
                            actor.write(&guard).await;
                        }
                    }
                    let _ = guard.release().await;
                }
            }
            _ => actor.long_turn(3000, 11_500).await,
        }
    })
}

/// When C1's lease was revoked, while it was renewed.
fn revoked(evidence: &Evidence<'_>) -> Result<u64, String> {
    let grants = evidence.grants("c1");
    let grant = grants.first().ok_or("C1 did not get the lock")?;
    match evidence.authority_ended(grant.attempt) {
        Some((t_ns, AuthorityEnd::Dropped)) => Ok(t_ns),
        other => Err(format!("C1's lease was not revoked: {other:?}")),
    }
}

fn heard_late(evidence: &Evidence<'_>) -> Result<String, String> {
    let revoked = revoked(evidence)?;
    let &(told, how) = evidence.ends("c1").first().ok_or("C1 was told nothing")?;
    if how != "not_owner" {
        return Err(format!("C1 was told {how}"));
    }
    let (_, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    Ok(format!(
        "C1 heard with its next renewal, {} after its lease was revoked; it and {} both believed for {}.",
        span(told - revoked),
        upper(second),
        span(ns),
    ))
}

fn heard_at_once(evidence: &Evidence<'_>) -> Result<String, String> {
    let revoked = revoked(evidence)?;
    let &(told, how) = evidence.ends("c1").first().ok_or("C1 was told nothing")?;
    if how != "not_owner" || told - revoked > 100_000_000 {
        return Err(format!("C1 was told {how} {} later", span(told - revoked)));
    }
    if evidence.wrote_after("c1", revoked) {
        return Err("C1 wrote after its loss".to_owned());
    }
    let taken = evidence.grants("c2");
    let taken = taken.first().ok_or("C2 did not get the lock")?;
    Ok(format!(
        "C1 was told that the lock is not its own {} after its lease was revoked, and wrote nothing more; C2 got the lock {} after the revocation.",
        span(told - revoked),
        span(taken.t_ns - revoked),
    ))
}
