use std::sync::Arc;

use super::evidence::{Evidence, span};
use super::parts::{Actor, free_before};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::SimRedis;
use crate::broken::store::by_message::{Told, by_message};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::{CallKind, Outcome};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "missed-wakeup",
    title: "C1 releases after C2 was told that the lock is held, and before C2 listens for the release",
    section: Section::Bug,
    lesson: "Whoever finds the lock held need not ask again and again: it can listen for a message that says that the lock was released. \
             But between the refusal and the moment at which the server knows of the listener, time passes, here because the server is slow. \
             A release in that gap tells nobody, and the waiter sleeps until the lease that it saw would have ended, while the lock is free. \
             A waiter must look once more after it has begun to listen, and now and then in any case, since any message can be lost.",
    source: "redisson#5761, redisson#3891",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::L2],
            outcome: slept_on,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: woke_up,
        },
    ],
    ttl_ms: 12_000,
    clients: 2,
    active_ms: 2500,
    faults,
    job,
    instead,
};

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    match way {
        Way::Naive => Some(Arc::new(by_message(SimRedis::single(), Told::Everybody))),
        _ => None,
    }
}

/// How late the server answers: so that dlock listens before it would look again anyhow.
const SLOW_MS: u64 = 60;

fn faults() -> Vec<Fault> {
    // C2 is answered late, also when it opens the connection on which it will listen.
    let slow = FaultKind::Slow {
        node: "redis-1".to_owned(),
        ms: SLOW_MS,
    };
    vec![fault(900, 1500, slow)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        if actor.client.number() != 1 {
            return actor.one_turn(1000).await;
        }
        // From its first turn on its release is one request.
        actor.one_turn(200).await;
        if let Some(guard) = actor.acquire().await {
            actor.read(&guard).await;
            actor.write(&guard).await;
            // Between C2's answer and its ear.
            actor.at(1165).await;
            let _ = guard.release().await;
        }
    })
}

/// C1's release, which comes after C2 was told that the lock is held and before the server knows of the listener.
struct Gap {
    refused_ns: u64,
    freed_ns: u64,
    /// C2's subscriptions.
    heard_ns: Vec<u64>,
}

fn gap(evidence: &Evidence<'_>) -> Result<Gap, String> {
    let refused = evidence.attempts_answered("c2", Outcome::Busy);
    let refused_ns = *refused.first().ok_or("C2 was not told that it is held")?;
    let ends = evidence.ends_of_locks();
    let mut by_c1 = ends.iter().rev().filter(|(.., by)| *by == Some("c1"));
    let freed_ns = by_c1.next().ok_or("C1 did not release the lock")?.0;
    let heard_ns = evidence.requests("c2", "SUBSCRIBE");
    let first = *heard_ns.first().ok_or("C2 did not listen")?;
    if !(refused_ns < freed_ns && freed_ns < first) {
        return Err(format!(
            "C2 was refused at {refused_ns} ns, C1's release was at {freed_ns} ns, and C2 listened at {first} ns"
        ));
    }
    Ok(Gap {
        refused_ns,
        freed_ns,
        heard_ns,
    })
}

fn slept_on(evidence: &Evidence<'_>) -> Result<String, String> {
    gap(evidence)?;
    let free = free_before(evidence, "c2")?;
    if free < 5_000_000_000 {
        return Err(format!("C2 found the free lock after {}", span(free)));
    }
    Ok(format!(
        "C1's release was over before C2 listened: C2 slept for {} beside a free lock.",
        span(free)
    ))
}

fn woke_up(evidence: &Evidence<'_>) -> Result<String, String> {
    let gap = gap(evidence)?;
    let free = free_before(evidence, "c2")?;
    let asked = evidence.calls("c2", CallKind::Attempt);
    let [_, (again, _)] = asked[..] else {
        return Err(format!("C2 asked {} times", asked.len()));
    };
    let last = gap.heard_ns.last().copied().unwrap_or(u64::MAX);
    // The answer to the subscription, and nothing else, was waited for.
    let latest = last.saturating_add((SLOW_MS + 20) * 1_000_000);
    if again <= last || again > latest {
        return Err(format!(
            "C2 listened at {}, and looked at {}",
            span(last),
            span(again)
        ));
    }
    Ok(format!(
        "C1's release came {} after C2 was refused and {} before it listened, so no message told it: C2 looked once more when it listened, and had the lock {} after the release.",
        span(gap.freed_ns - gap.refused_ns),
        span(gap.heard_ns[0] - gap.freed_ns),
        span(free)
    ))
}
