use std::time::Duration;

use dlock_core::fence::Stamped;
use dlock_core::{Guard, LockName};

use super::evidence::{Evidence, span};
use super::parts::{self, Actor, LOCK, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::broken::client::{Flaw, Naive, NaiveGuard};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "machine-suspend",
    title: "C1's machine sleeps for longer than its TTL; it wakes up in the middle of its work",
    section: Section::Caveat,
    lesson: "Most programs measure time with a clock that stands still while the machine sleeps. \
             A client that counts its lease on such a clock wakes up long after the lease has ended, and thinks that it has most of its time left. \
             A clock that counts the sleep tells it the truth at its first look. \
             But between waking up and looking there is always a moment, and what the client writes in that moment only the storage can refuse.",
    source: "CLOCK_MONOTONIC does not count suspend on Linux, CLOCK_BOOTTIME does; std::time::Instant and tokio's timers use the former",
    stores: &["redis", "etcd"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S7],
            outcome: still_sure,
        },
        Take {
            way: Way::Fenced,
            violates: &[],
            outcome: knew,
        },
    ],
    ttl_ms: 6000,
    clients: 2,
    active_ms: 14_000,
    faults,
    job,
    instead: parts::the_real_store,
};

fn faults() -> Vec<Fault> {
    let sleep = FaultKind::Suspend {
        node: "c1".to_owned(),
    };
    vec![fault(500, 9000, sleep)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match (actor.client.number(), way) {
            (1, Way::Naive) => naive(actor).await,
            (1, _) => ours(actor).await,
            _ => actor.long_turn(1000, 12_000).await,
        }
    })
}

async fn naive(actor: Actor) {
    actor.at(200).await;
    let Ok(name) = LockName::new(LOCK) else {
        return;
    };
    let naive = Naive::new(actor.client.clone(), Flaw::ClockWithoutSuspend).sleeping(&faults());
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

const LOOKED_AND_BELIEVED: &str = "C1 looked, and believes that it holds the lock";
const LOOKED_AND_KNEW: &str = "C1 looked, and knows that it has lost the lock";

/// The machine sleeps during the first step.
async fn work<G: Stamped>(actor: &Actor, guard: &G, believes: impl Fn(&G) -> bool) {
    actor.read(guard).await;
    actor.client.sleep(Duration::from_millis(400)).await;
    // It looked a moment ago, as far as it knows.
    actor.write(guard).await;
    actor.client.sleep(Duration::from_millis(200)).await;
    while believes(guard) {
        actor.client.note(LOOKED_AND_BELIEVED);
        actor.write(guard).await;
        actor.client.sleep(Duration::from_millis(600)).await;
    }
    actor.client.note(LOOKED_AND_KNEW);
}

fn still_sure(evidence: &Evidence<'_>) -> Result<String, String> {
    let (from, to) = evidence.stopped("c1").ok_or("C1's machine did not sleep")?;
    let sure = evidence.noted(LOOKED_AND_BELIEVED);
    let &sure = sure.first().ok_or("C1 did not believe after its sleep")?;
    let writes = evidence.writes();
    let writes = writes
        .iter()
        .filter(|write| write.by == "c1" && write.t_ns > to);
    let (_, second, _) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    let grants = evidence.grants("c2");
    let other = grants.first().ok_or("C2 did not get the lock")?.t_ns;
    let ends = evidence.ends("c1");
    let &(end, _) = ends.first().ok_or("C1 never learnt of its loss")?;
    if second != "c2" || !(from..to).contains(&other) || evidence.ends("c2")[0].0 < end {
        return Err(
            "C2 did not hold the lock from C1's sleep to the end of C1's belief".to_owned(),
        );
    }
    Ok(format!(
        "C1's machine slept for {}, and meanwhile C2 got the lock; awake again, C1 was sure of its lock for {} beside C2: it looked after {}, believed, and wrote {} times.",
        span(to - from),
        span(end - to),
        span(sure - to),
        writes.count(),
    ))
}

fn knew(evidence: &Evidence<'_>) -> Result<String, String> {
    let (from, to) = evidence.stopped("c1").ok_or("C1's machine did not sleep")?;
    if !evidence.noted(LOOKED_AND_BELIEVED).is_empty() {
        return Err("C1 looked, and believed that it holds the lock".to_owned());
    }
    let looked = evidence.noted(LOOKED_AND_KNEW);
    let &looked = looked.first().ok_or("C1 did not look")?;
    let refused = evidence.refused();
    let refused = refused.first().ok_or("the fence refused nothing")?;
    Ok(format!(
        "{} wrote {} after a sleep of {}; storage rejected its token {}, because {} had claimed; and it knew of its loss at its first look, {} later.",
        upper(refused.by),
        span(refused.t_ns - to),
        span(to - from),
        evidence.token(refused.token),
        evidence.token(refused.newest),
        span(looked - refused.t_ns),
    ))
}
