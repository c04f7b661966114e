use std::sync::Arc;
use std::time::Duration;

use super::evidence::{Evidence, span};
use super::parts::{Actor, LOCK, hand_written, simple_turn};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::broken::client::simple::Simple;
use crate::broken::store::plain_redis::Flaw;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::CallKind;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "ambiguous-acquire",
    title: "C1's acquire is granted, but the answer is lost, and C1 is told of an error; C2 wants the lock",
    section: Section::Bug,
    lesson: "An error does not mean that nothing happened: the server may have done what it was asked for, and only its answer was lost. \
             Here the lock is C1's, but C1's program was told that it failed and goes on without it. \
             Nobody will release this lock, so everybody else waits until its time is over. \
             A client that gives up must therefore take back its request, whatever became of it.",
    source: "redisson#4109, curator#566",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[],
            outcome: waited_for_the_end,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: taken_back,
        },
    ],
    ttl_ms: 10_000,
    clients: 2,
    active_ms: 5000,
    faults,
    job,
    instead,
};

const WAIT: Duration = Duration::from_millis(1500);

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    (way == Way::Naive).then(|| hand_written(Flaw::None))
}

/// C1's request arrives, the answer does not.
fn faults() -> Vec<Fault> {
    let unheard = FaultKind::OneWay {
        from: "redis-1".to_owned(),
        to: "c1".to_owned(),
    };
    vec![fault(900, 1000, unheard)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        let simple = Simple::new(&actor.client);
        match (actor.client.number(), way) {
            // A first turn, so that it is connected.
            (1, Way::Naive) => {
                simple_turn(&actor, &simple, 200, 200).await;
                actor.at(1000).await;
                let _ = simple.acquire(LOCK, Some(WAIT)).await;
            }
            (_, Way::Naive) => simple_turn(&actor, &simple, 1500, 1500).await,
            (1, _) => {
                actor.one_turn(200).await;
                actor.at(1000).await;
                let _ = actor.lock().wait(WAIT).acquire().await;
            }
            _ => actor.one_turn(1500).await,
        }
    })
}

/// How long the lock was C1's though C1 was told that it is not, and how long C2 waited.
fn orphan(evidence: &Evidence<'_>) -> Result<(u64, u64), String> {
    let (told, _) = *evidence
        .refusals("c1")
        .first()
        .ok_or("C1 was told of no error")?;
    let orphan = evidence.orphans().into_iter().next();
    let orphan = orphan.ok_or("C1's lost acquire was not granted")?;
    let (ended, ..) = orphan.end.ok_or("C1's lost lock did not end")?;
    let waited = *evidence
        .waits("c2")
        .first()
        .ok_or("C2 was not granted the lock")?;
    Ok((ended.saturating_sub(told), waited))
}

fn waited_for_the_end(evidence: &Evidence<'_>) -> Result<String, String> {
    let (kept, waited) = orphan(evidence)?;
    if kept < 8_000_000_000 {
        return Err(format!(
            "the lock that nobody had ended after {}",
            span(kept)
        ));
    }
    Ok(format!(
        "C1 was told of an error and left; the lock stayed taken for {} more, and C2 waited {}.",
        span(kept),
        span(waited)
    ))
}

fn taken_back(evidence: &Evidence<'_>) -> Result<String, String> {
    let (kept, waited) = orphan(evidence)?;
    if kept > 100_000_000 {
        return Err(format!(
            "the lock that nobody had stayed taken for {}",
            span(kept)
        ));
    }
    if evidence.calls("c1", CallKind::Release).len() < 2 {
        return Err("C1 took nothing back".to_owned());
    }
    Ok(format!(
        "C1 was told of an error, and its lost request was taken back {} later: C2 waited {}.",
        span(kept),
        span(waited)
    ))
}
