use std::sync::Arc;
use std::time::Duration;

use dlock_redis::redis::cmd;

use super::evidence::{Evidence, span};
use super::parts::{Actor, LOCK, free_before};
use super::{JobFuture, Scenario, Section, Take, Way};
use crate::SimRedis;
use crate::broken::store::by_message::{Told, by_message};
use crate::broken::store::raw_redis::RawRedis;
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::Fault;
use crate::service::SimStore;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "foreign-release",
    title: "C1 uses another lock library: its key has no end, and its release tells nobody; C2 waits",
    section: Section::Bug,
    lesson: "When services move from one lock library to another, both are in use for a while, and they exclude each other only through the lock's key. \
             The other library does not send the messages for which ours waits, and perhaps its key has no end. \
             A waiter that relies on either waits for ever once the lock is free. \
             So whoever is next in line must also look by itself every few seconds; that costs the server almost nothing.",
    source: "services that migrate from plain `SET NX` locks, which have no messages",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::L2],
            outcome: heard_nothing,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: looked_by_itself,
        },
    ],
    ttl_ms: 5000,
    clients: 2,
    active_ms: 6000,
    faults: Vec::<Fault>::new,
    job,
    instead,
};

/// What C2 has to spare.
const BUDGET: Duration = Duration::from_secs(9);

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    match way {
        Way::Naive => Some(Arc::new(by_message(SimRedis::single(), Told::Everybody))),
        _ => None,
    }
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        if actor.client.number() == 1 {
            return other_library(&actor).await;
        }
        actor.at(1000).await;
        if let Ok(guard) = actor.lock().wait(BUDGET).acquire().await {
            actor.read(&guard).await;
            actor.write(&guard).await;
            let _ = guard.release().await;
        }
    })
}

/// `SET NX` without an end, and `DEL`.
async fn other_library(actor: &Actor) {
    let redis = RawRedis::beside(&actor.client, "redis-1");
    let key = format!("lock:{LOCK}");
    actor.at(200).await;
    actor
        .client
        .note("C1 sets the lock's key, as another library does");
    let mut set = cmd("SET");
    set.arg(&key).arg("somebody-else").arg("NX");
    let _ = redis.run(&set).await;
    actor.at(3500).await;
    actor.client.note("C1 deletes the lock's key");
    let _ = redis.run(cmd("DEL").arg(&key)).await;
}

fn heard_nothing(evidence: &Evidence<'_>) -> Result<String, String> {
    match (
        evidence.refusals("c2").first(),
        evidence.lock_ends().first(),
    ) {
        (Some((told, "timed_out")), Some(freed)) => Ok(format!(
            "C2 waited for a message that never came, gave up, and the lock had been free for {}.",
            span(told - freed)
        )),
        _ => Err("C2 did not wait in vain".to_owned()),
    }
}

fn looked_by_itself(evidence: &Evidence<'_>) -> Result<String, String> {
    let free = free_before(evidence, "c2")?;
    if free > 2_100_000_000 {
        return Err(format!("C2 found the free lock only after {}", span(free)));
    }
    Ok(format!(
        "Nobody told C2 that the lock was free; it looked by itself and had it after {}.",
        span(free)
    ))
}
