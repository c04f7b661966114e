use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dlock_core::LockName;
use dlock_core::fence::Stamped;

use super::evidence::{Evidence, span};
use super::parts::{self, Actor, LOCK};
use super::{JobFuture, Scenario, Section, Take, Way};
use crate::broken::client::{Flaw, Naive};
use crate::checker::Property;
use crate::client::SimClient;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "release-before-body-ends",
    title: "C1 is told to stop while it works; the lock is released at once, and the work goes on to the end of its step",
    section: Section::Bug,
    lesson: "Who is told to stop wants to give its lock back soon, so that the next one need not wait for the lease to end. \
             But work that is told to stop does not stop at once: a step that has begun is finished first. \
             If the lock is released when the order comes and not when the work has ended, the next client starts beside it. \
             A form that holds a lock around a piece of work must release only after that work has really ended.",
    source: "kubernetes#139504: with ReleaseOnCancel the leader's lease was given back while its work still ran",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S3],
            outcome: went_on,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: ended_first,
        },
    ],
    ttl_ms: 3000,
    clients: 2,
    active_ms: 9000,
    // Nothing goes wrong but the order of two steps.
    faults: Vec::new,
    job,
    instead: parts::the_real_store,
};

const STEP: Duration = Duration::from_millis(1600);
const STOPS_AT_MS: u64 = 3600;
const TOLD: &str = "C1 is told to stop";

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Arc::new(Actor::new(client, way));
        match (actor.client.number(), way) {
            (1, Way::Naive) => naive(actor).await,
            (1, _) => ours(actor).await,
            _ => actor.long_turn(1000, 6500).await,
        }
    })
}

/// Steps that end with a write; before each it looks whether it is to stop.
async fn body(actor: &Actor, holder: &impl Stamped, told: &AtomicBool) {
    actor.read(holder).await;
    while !told.load(Ordering::Relaxed) {
        actor.client.sleep(STEP).await;
        actor.write(holder).await;
    }
}

async fn tell(actor: &Actor, told: &AtomicBool) {
    actor.at(STOPS_AT_MS).await;
    actor.client.note(TOLD);
    told.store(true, Ordering::Relaxed);
}

/// The work is a task of its own, and the lock is released when it is told to stop.
async fn naive(actor: Arc<Actor>) {
    actor.at(200).await;
    let Ok(name) = LockName::new(LOCK) else {
        return;
    };
    let naive = Naive::new(actor.client.clone(), Flaw::None);
    let Some(guard) = naive.acquire(&name).await else {
        return;
    };
    let told = Arc::new(AtomicBool::new(false));
    let (worker, holder, hears) = (actor.clone(), guard.stamp(), told.clone());
    actor
        .client
        .spawn(async move { body(&worker, &holder, &hears).await });
    tell(&actor, &told).await;
    guard.release();
}

async fn ours(actor: Arc<Actor>) {
    actor.at(200).await;
    let told = Arc::new(AtomicBool::new(false));
    let (teller, tells) = (actor.clone(), told.clone());
    actor
        .client
        .spawn(async move { tell(&teller, &tells).await });
    let work = async |lease| {
        body(&actor, &lease, &told).await;
        Ok::<_, Infallible>(())
    };
    let _ = actor.lock().run(work).await;
}

/// When C1 was told to stop, let go, and wrote for the last time; and when C2 got the lock.
fn times(evidence: &Evidence<'_>) -> Result<[u64; 4], String> {
    let told = evidence.noted(TOLD);
    let told = told.first().ok_or("C1 was not told to stop")?;
    let ends = evidence.ends("c1");
    let &(released, how) = ends.first().ok_or("C1 did not let go")?;
    if how != "released" {
        return Err(format!("C1's lock ended otherwise: {how}"));
    }
    let mut writes = evidence.writes();
    writes.retain(|write| write.by == "c1");
    let last = writes.last().ok_or("C1 did not write")?;
    let taken = evidence.grants("c2");
    let taken = taken.first().ok_or("C2 did not get the lock")?;
    Ok([*told, released, last.t_ns, taken.t_ns])
}

fn went_on(evidence: &Evidence<'_>) -> Result<String, String> {
    let [told, released, last, taken] = times(evidence)?;
    if released != told || last <= taken {
        return Err("C1 did not write after C2 had got the lock".to_owned());
    }
    Ok(format!(
        "The lock was released as soon as C1 was told to stop; C1's work went on for {}, and wrote {} after C2 had got the lock.",
        span(last - released),
        span(last - taken),
    ))
}

fn ended_first(evidence: &Evidence<'_>) -> Result<String, String> {
    let [told, released, last, taken] = times(evidence)?;
    if released < last || taken < last || last <= told {
        return Err("the lock was released before the work had ended".to_owned());
    }
    Ok(format!(
        "C1's work ended with its step, {} after it was told to stop, and the lock was released only then; C2 got it {} after C1's last write.",
        span(last - told),
        span(taken - last),
    ))
}
