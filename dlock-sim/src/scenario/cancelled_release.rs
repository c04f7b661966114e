use std::sync::Arc;

use super::evidence::{Evidence, span};
use super::parts::{Actor, LOCK, hand_written, polled, simple_turn};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::broken::client::simple::Simple;
use crate::broken::store::plain_redis::Flaw;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::{CallKind, Outcome};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "cancelled-release",
    title: "C1's program drops its release, again and again, each time at another point; C2 wants the lock each time",
    section: Section::Bug,
    lesson: "A release is a request over the network, and the program that sends it may be stopped in the middle of it. \
             A simple lock has then already forgotten that it was held, but the server was never told. \
             Nobody can release it any more, and everybody waits until its time is over. \
             A release that was begun must therefore be finished in the background, whatever becomes of the caller.",
    source: "redis-py#3847, curator#1193",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[],
            outcome: left_behind,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: released,
        },
    ],
    ttl_ms: 5000,
    clients: 2,
    active_ms: 6000,
    faults,
    job,
    instead,
};

/// How often C1 looks at its release before it drops it: each round ends at another point.
const LOOKS: [u32; 4] = [0, 1, 2, 1];

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    (way == Way::Naive).then(|| hand_written(Flaw::None))
}

fn round_ms(round: usize) -> u64 {
    200 + 1000 * round as u64
}

/// Before two of the releases the server forgets its scripts: so that there is more to wait for.
fn faults() -> Vec<Fault> {
    let forget = |round| fault(round_ms(round) + 350, 0, FaultKind::ScriptFlush);
    vec![forget(1), forget(2)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        let simple = Simple::new(&actor.client);
        let naive = way == Way::Naive;
        for (round, looks) in LOOKS.into_iter().enumerate() {
            match (actor.client.number(), naive) {
                (1, true) => {
                    actor.at(round_ms(round)).await;
                    if let Some(guard) = simple.acquire(LOCK, None).await {
                        actor.write(&guard).await;
                        actor.at(round_ms(round) + 400).await;
                        let _ = polled(&actor.client, looks, guard.release()).await;
                    }
                }
                (1, false) => {
                    actor.at(round_ms(round)).await;
                    if let Some(guard) = actor.acquire().await {
                        actor.read(&guard).await;
                        actor.write(&guard).await;
                        actor.at(round_ms(round) + 400).await;
                        let _ = polled(&actor.client, looks, guard.release()).await;
                    }
                }
                (_, true) => {
                    let at_ms = round_ms(round) + 500;
                    simple_turn(&actor, &simple, at_ms, at_ms).await;
                }
                (_, false) => actor.one_turn(round_ms(round) + 500).await,
            }
        }
    })
}

/// How long C1's lock lasted after it was let go, at the longest.
fn kept(evidence: &Evidence<'_>) -> Result<u64, String> {
    let ends = evidence.ends("c1");
    if ends.len() < LOOKS.len() || ends.iter().any(|(_, how)| *how != "released") {
        return Err("C1 did not let go in each round".to_owned());
    }
    let owners = evidence.owners();
    let kept = evidence
        .grants("c1")
        .into_iter()
        .zip(&ends)
        .map(|(grant, (let_go, _))| {
            let owner = owners.iter().find(|owner| owner.token == Some(grant.token));
            let (ended, ..) = owner?.end?;
            Some(ended.saturating_sub(*let_go))
        });
    let kept: Option<Vec<u64>> = kept.collect();
    let kept = kept.ok_or("a lock of C1 did not end")?;
    Ok(kept.into_iter().max().unwrap_or(0))
}

fn left_behind(evidence: &Evidence<'_>) -> Result<String, String> {
    let kept = kept(evidence)?;
    let waited = evidence.waits("c2").into_iter().max().unwrap_or(0);
    if kept < 4_000_000_000 || waited < 4_000_000_000 {
        return Err(format!(
            "C1's lock was free {} after it was let go",
            span(kept)
        ));
    }
    Ok(format!(
        "C1 had let go of its lock, but the server was not told for {}, until the lease ended: C2 waited {}.",
        span(kept),
        span(waited)
    ))
}

fn released(evidence: &Evidence<'_>) -> Result<String, String> {
    let kept = kept(evidence)?;
    let waited = evidence.waits("c2").into_iter().max().unwrap_or(u64::MAX);
    if kept.max(waited) > 100_000_000 {
        return Err(format!(
            "C1's lock lasted {} after it was let go, and C2 waited {}",
            span(kept),
            span(waited)
        ));
    }
    let answers = evidence.answers("c1", CallKind::Release);
    let pending = answers.iter().filter(|one| **one == Outcome::Dropped);
    let pending = pending.count();
    if pending < 3 {
        return Err(format!(
            "only {pending} releases were under way when they were dropped"
        ));
    }
    Ok(format!(
        "C1 dropped {pending} releases that were under way; each time the lock was free {} later at most, and C2 never waited more than {}.",
        span(kept),
        span(waited)
    ))
}
