use std::sync::Arc;
use std::time::Duration;

use super::evidence::{Evidence, span};
use super::parts::{Actor, LOCK, hand_written};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::broken::client::simple::Simple;
use crate::broken::store::plain_redis::Flaw;
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::{AuthorityEnd, CallKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "zombie-renewal",
    title: "C1's release is lost in the network just before its next renewal is due; the network comes back; C2 waits for the lock",
    section: Section::Bug,
    lesson: "While a program works, a background task keeps its lock alive by renewing it. \
             If this task is not stopped when the program lets go, or only once the server has confirmed it, a release that is lost leaves the task running. \
             It renews a lock that nobody has, for ever, and everybody else waits for ever: not even the end of the lease helps. \
             Renewing must end before the release is sent, and the release must be repeated until it is certain.",
    source: "redisson#7272, redisson#2714, redisson#1966",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S6, Property::L3],
            outcome: renewed_for_ever,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: repeated,
        },
    ],
    ttl_ms: 3000,
    clients: 2,
    active_ms: 3000,
    faults,
    job,
    instead,
};

/// So long C2 waits.
const PATIENCE: Duration = Duration::from_secs(6);

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    (way == Way::Naive).then(|| hand_written(Flaw::None))
}

fn faults() -> Vec<Fault> {
    let cut = FaultKind::Partition {
        a: "c1".to_owned(),
        b: "redis-1".to_owned(),
    };
    vec![fault(1600, 500, cut)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        let simple = Simple::new(&actor.client).renewing();
        match (actor.client.number(), way) {
            (1, Way::Naive) => {
                actor.at(200).await;
                if let Some(guard) = simple.acquire(LOCK, None).await {
                    actor.read(&guard).await;
                    actor.write(&guard).await;
                    actor.at(2000).await;
                    // An error is all that C1 ever hears of it.
                    let _ = guard.release().await;
                }
            }
            (1, _) => {
                actor.at(200).await;
                if let Some(guard) = actor.acquire().await {
                    actor.read(&guard).await;
                    actor.write(&guard).await;
                    actor.at(2000).await;
                    let _ = guard.release().await;
                }
            }
            (_, Way::Naive) => {
                actor.at(2500).await;
                if let Some(guard) = simple.acquire(LOCK, Some(PATIENCE)).await {
                    let _ = guard.release().await;
                }
            }
            _ => {
                actor.at(2500).await;
                if let Ok(guard) = actor.lock().wait(PATIENCE).acquire().await {
                    actor.read(&guard).await;
                    actor.write(&guard).await;
                    let _ = guard.release().await;
                }
            }
        }
    })
}

/// When C1 let go, and how often it renewed after that.
fn renewals(evidence: &Evidence<'_>) -> Result<(u64, usize), String> {
    let (let_go, how) = *evidence
        .ends("c1")
        .first()
        .ok_or("C1 did not have the lock")?;
    if how != "released" {
        return Err(format!("C1 lost its lock: {how}"));
    }
    let calls = evidence.calls("c1", CallKind::Renew);
    if !calls.iter().any(|(t_ns, _)| *t_ns < let_go) {
        return Err("C1 did not renew its lock".to_owned());
    }
    let after = calls.iter().filter(|(t_ns, _)| *t_ns > let_go).count();
    Ok((let_go, after))
}

fn renewed_for_ever(evidence: &Evidence<'_>) -> Result<String, String> {
    let (_, after) = renewals(evidence)?;
    let told = evidence.refusals("c2");
    let asked = evidence.asked("c2");
    match (told.first(), asked.first()) {
        (Some((told, "timed_out")), Some(asked)) => Ok(format!(
            "C1 had let go, but went on renewing, {after} times until the end of the picture; C2 gave up after {}.",
            span(told - asked)
        )),
        _ => Err("C2 did not give up".to_owned()),
    }
}

fn repeated(evidence: &Evidence<'_>) -> Result<String, String> {
    let (let_go, after) = renewals(evidence)?;
    if after > 0 {
        return Err(format!("C1 renewed {after} times after it had let go"));
    }
    let owners = evidence.owners();
    let first = owners.first().and_then(|owner| owner.end);
    let Some((ended, AuthorityEnd::Removed, Some("c1"))) = first else {
        return Err("C1's lock was not released by C1".to_owned());
    };
    let waited = *evidence
        .waits("c2")
        .first()
        .ok_or("C2 was not granted the lock")?;
    Ok(format!(
        "C1 let go and renewed no more; its release was repeated until it arrived, {} later, and C2 waited {}.",
        span(ended - let_go),
        span(waited)
    ))
}
