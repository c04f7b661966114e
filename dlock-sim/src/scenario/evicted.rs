use std::sync::Arc;

use super::evidence::{Evidence, span};
use super::parts::{Actor, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::SimRedis;
use crate::broken::store::plain_redis::{Flaw, simple};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "evicted",
    title: "a server that runs out of memory drops the lock and its counter while C1 holds it; C2 acquires",
    section: Section::Bug,
    lesson: "A Redis server that serves as a cache drops keys when its memory is full, and a lock is only a key. \
             No lock library can keep the next client from acquiring then, so two clients believe that they hold the lock. \
             What it can do is to hand out tokens that rise nevertheless: then the storage still tells the old holder from the new one. \
             A bare counter that was dropped begins anew, and the new holder looks like the oldest of all. \
             Use a server for locks that refuses writes when its memory is full, instead of dropping keys.",
    source: "RedLock.net#101",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S4, Property::S7],
            outcome: tokens_begin_anew,
        },
        Take {
            way: Way::Ours,
            violates: &[Property::S1, Property::S7],
            outcome: tokens_rise,
        },
    ],
    ttl_ms: 10_000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
    instead,
};

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    match way {
        Way::Naive => Some(Arc::new(simple(SimRedis::single(), Flaw::CounterToken))),
        _ => None,
    }
}

fn faults() -> Vec<Fault> {
    vec![fault(2000, 0, FaultKind::Evict)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        if actor.client.number() == 1 {
            actor.one_turn(200).await;
            actor.long_turn(1000, 4000).await;
        } else {
            actor.long_turn(3000, 3500).await;
        }
    })
}

fn tokens_begin_anew(evidence: &Evidence<'_>) -> Result<String, String> {
    let (old, new) = parts::last_tokens(evidence)?;
    if new >= old {
        return Err(format!("C2's token {new} is not below C1's {old}"));
    }
    let (first, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    Ok(format!(
        "{} and {} both believed that they held the lock, for {}, and C2, which came later, had token {new} below C1's {old}.",
        upper(first),
        upper(second),
        span(ns)
    ))
}

fn tokens_rise(evidence: &Evidence<'_>) -> Result<String, String> {
    let (old, new) = parts::last_tokens(evidence)?;
    if new <= old {
        return Err(format!("C2's token {new} is not above C1's {old}"));
    }
    let (_, _, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    let refused = parts::stale_write_refused(evidence)?;
    Ok(format!(
        "Two held the lock for {}, but tokens rose: {refused}",
        span(ns)
    ))
}
