use dlock_core::fence::Stamped;
use dlock_core::{Guard, LockName};

use super::evidence::{Evidence, span};
use super::parts::{Actor, LOCK, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::broken::client::{Flaw, Naive, NaiveGuard};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "late-loss",
    title: "the server answers C1's renewals late, and then C1 is cut off; it counts its time from the last answer",
    section: Section::Bug,
    lesson: "A lease runs from the moment at which the server sets it, and that is before its answer arrives. \
             A client that counts from the answer believes longer than the server does, by as much as the answer was late. \
             Usually the next renewal hides that; here C1 is cut off after a slow answer, and C2 gets the lock while C1 still thinks that it has time. \
             The client must count from the moment at which it sent the request: then it can only be wrong to the safe side.",
    source: "etcd's clientv3 lease.go counts from the answer; madelson's DistributedLock looks only with each tick",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S7],
            outcome: too_late,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: in_time,
        },
    ],
    ttl_ms: 4000,
    clients: 2,
    active_ms: 11_000,
    faults,
    job,
    instead: parts::the_real_store,
};

fn faults() -> Vec<Fault> {
    let slow = FaultKind::Slow {
        node: "redis-1".to_owned(),
        ms: 900,
    };
    let cut = FaultKind::Partition {
        a: "c1".to_owned(),
        b: "redis-1".to_owned(),
    };
    vec![fault(2000, 1500, slow), fault(3900, 5000, cut)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match (actor.client.number(), way) {
            (1, Way::Naive) => naive(actor).await,
            (1, _) => ours(actor).await,
            // The server is quick again when it asks.
            _ => actor.long_turn(5000, 8800).await,
        }
    })
}

/// How often C1 writes, sure of its lock each time.
const EVERY_MS: u64 = 500;

async fn naive(actor: Actor) {
    actor.at(200).await;
    let Ok(name) = LockName::new(LOCK) else {
        return;
    };
    let naive = Naive::new(actor.client.clone(), Flaw::DeadlineFromReply);
    if let Some(guard) = naive.acquire(&name).await {
        work(&actor, &guard, NaiveGuard::check).await;
        guard.release();
    }
}

async fn ours(actor: Actor) {
    actor.at(200).await;
    if let Some(guard) = actor.acquire().await {
        work(&actor, &guard, |guard: &Guard| guard.check().is_ok()).await;
        let _ = guard.release().await;
    }
}

async fn work<G: Stamped>(actor: &Actor, guard: &G, believes: impl Fn(&G) -> bool) {
    actor.read(guard).await;
    for turn in 1..=17 {
        actor.at(200 + turn * EVERY_MS).await;
        if !believes(guard) {
            return;
        }
        actor.write(guard).await;
    }
}

fn too_late(evidence: &Evidence<'_>) -> Result<String, String> {
    let (first, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    let taken = evidence.grants("c2");
    let taken = taken.first().ok_or("C2 did not get the lock")?;
    let writes = evidence.writes();
    let late = writes
        .iter()
        .filter(|write| write.by == "c1" && write.t_ns > taken.t_ns)
        .count();
    if late == 0 {
        return Err("C1 wrote nothing after its loss".to_owned());
    }
    Ok(format!(
        "{} went on believing for {} after {} had got the lock, and wrote {} in that time.",
        upper(first),
        span(ns),
        upper(second),
        times(late),
    ))
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{count} times"),
    }
}

fn in_time(evidence: &Evidence<'_>) -> Result<String, String> {
    let granted = evidence.grants("c1");
    let granted = granted.first().ok_or("C1 did not get the lock")?;
    let (ended, _) = evidence
        .authority_ended(granted.attempt)
        .ok_or("C1's lock did not end")?;
    let &(knew, how) = evidence.ends("c1").first().ok_or("C1 was told nothing")?;
    let taken = evidence.grants("c2");
    let taken = taken.first().ok_or("C2 did not get the lock")?;
    if how == "released" || knew >= ended || taken.t_ns < ended {
        return Err(format!("C1's lock ended otherwise ({how})"));
    }
    Ok(format!(
        "C1 knew of its loss ({how}) {} before its lease ended at the server, and C2 got the lock {} after that.",
        span(ended - knew),
        span(taken.t_ns - ended),
    ))
}
