use std::sync::Arc;

use super::evidence::{Evidence, span};
use super::parts::{Actor, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::SimRedis;
use crate::broken::store::over_redis::{Flaw, flawed};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::{AuthorityEnd, CallKind, Kind, Outcome};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stale-release",
    title: "C1's lease ends while it is paused; C2 acquires; then C1's release arrives",
    section: Section::Bug,
    lesson: "The simplest release deletes the lock's key. If the client that releases was too slow, its own lease has \
             ended, and the key it deletes is somebody else's. So a third client gets in while the second still works. \
             A release must name the grant that it gives back, and the store must compare before it deletes, in one step.",
    source: "node-distributed-lock (2013) deletes without a comparison; libraries with one id per object instead of per attempt",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S5, Property::S7],
            outcome: lost_by_another,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: kept,
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
        Way::Naive => Some(Arc::new(flawed(
            SimRedis::single(),
            Flaw::ReleaseWithoutCompare,
        ))),
        _ => None,
    }
}

fn faults() -> Vec<Fault> {
    let pause = FaultKind::PauseAt {
        node: "c1".to_owned(),
        point: "before-release".to_owned(),
        visit: 1,
    };
    vec![fault(0, 5000, pause)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => {
                actor.at(200).await;
                if let Some(guard) = actor.acquire().await {
                    actor.read(&guard).await;
                    actor.write(&guard).await;
                    actor.client.safe_point("before-release").await;
                    let _ = guard.release().await;
                }
            }
            // At work when the release arrives.
            2 => actor.long_turn(1000, 6000).await,
            _ => actor.long_turn(5500, 6500).await,
        }
    })
}

fn ended_by(evidence: &Evidence<'_>, who: &str, whose: &str) -> Option<u64> {
    let grant = evidence.grants(whose).into_iter().next()?;
    evidence.events.iter().find_map(|event| match &event.kind {
        Kind::AuthorityEnds {
            attempt: Some(attempt),
            why: AuthorityEnd::Removed,
            by: Some(by),
            ..
        } if attempt == grant.attempt && by == who => Some(event.t_ns),
        _ => None,
    })
}

fn lost_by_another(evidence: &Evidence<'_>) -> Result<String, String> {
    ended_by(evidence, "c1", "c2").ok_or("C1 did not end C2's lock")?;
    let (first, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    Ok(format!(
        "C1's late release deleted the lock of C2: {} and {} both worked under it, for {}.",
        upper(first),
        upper(second),
        span(ns)
    ))
}

fn kept(evidence: &Evidence<'_>) -> Result<String, String> {
    if ended_by(evidence, "c1", "c2").is_some() {
        return Err("C1 ended C2's lock".to_owned());
    }
    let (told, how) = *evidence.ends("c1").first().ok_or("C1 was told nothing")?;
    if how == "released" {
        return Err("C1 was told that it released the lock".to_owned());
    }
    let owners = evidence.owners();
    let theirs = evidence.grants("c2").into_iter().next();
    let theirs = theirs.ok_or("C2 did not have the lock")?;
    let theirs = owners
        .iter()
        .find(|owner| owner.attempt == Some(theirs.attempt));
    let theirs = theirs.ok_or("C2 did not have the lock")?;
    let (left, ..) = theirs.end.ok_or("C2 did not release the lock")?;
    let late = evidence.served_after("c1", CallKind::Release, theirs.from_ns);
    let late = late.filter(|late| late.served_ns < left);
    let late = late.ok_or("C1's release did not arrive while C2 had the lock")?;
    if late.outcome != Outcome::Absent || late.served_ns < told {
        return Err(format!("C1's late release was answered {:?}", late.outcome));
    }
    Ok(format!(
        "C1 knew by its own clock that its lease was over ({how}); its release reached the server {} after C2 was granted the lock and removed nothing, and C2 kept its lock for another {}, until it was done.",
        span(late.served_ns - theirs.from_ns),
        span(left - late.served_ns)
    ))
}
