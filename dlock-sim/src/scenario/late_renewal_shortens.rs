use std::sync::Arc;
use std::time::Duration;

use super::evidence::{Evidence, span};
use super::parts::{Actor, LOCK, hand_written, simple_turn, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::broken::client::simple::Simple;
use crate::broken::store::plain_redis::Flaw;
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::Kind;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "late-renewal-shortens",
    title: "C1 asks for 3 s more, which is held up, then for 15 s, which is answered; then the first request arrives",
    section: Section::Bug,
    lesson: "To keep a lock for longer, its holder asks the server to set a new end. \
             If such a request is held up on its way, a later one may overtake it: here the end that C1 was promised is replaced by \
             the nearer one of its older request. C2 is let in while C1 still counts on its time. \
             A renewal must therefore only ever move the end away, never nearer.",
    source: "found in a review of this design; reproduced on Redis 7.0",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S5, Property::S7],
            outcome: shortened,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: kept,
        },
    ],
    ttl_ms: 5000,
    clients: 2,
    active_ms: 12_000,
    faults,
    job,
    instead,
};

/// While the first request is held up.
const STUCK_MS: std::ops::Range<u64> = 900..5000;

const SHORT: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(15);

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    (way == Way::Naive).then(|| hand_written(Flaw::RenewalShortens))
}

/// The first request is held up with its connection.
fn faults() -> Vec<Fault> {
    let stuck = FaultKind::StuckConnections {
        client: "c1".to_owned(),
        server: "redis-1".to_owned(),
    };
    vec![fault(STUCK_MS.start, STUCK_MS.end - STUCK_MS.start, stuck)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        let simple = Simple::new(&actor.client);
        match (actor.client.number(), way) {
            (1, Way::Naive) => naive(&actor, &simple).await,
            (_, Way::Naive) => simple_turn(&actor, &simple, 4000, 9000).await,
            (1, _) => ours(&actor).await,
            _ => actor.long_turn(4000, 9000).await,
        }
    })
}

async fn ours(actor: &Actor) {
    actor.at(200).await;
    let Ok(guard) = actor.lock().auto_renew(false).acquire().await else {
        return;
    };
    actor.read(&guard).await;
    // The server has the script from here on: what is held up is the request that renews.
    let _ = guard.extend(actor.client.ttl()).await;
    actor.at(1000).await;
    let _ = guard.extend(SHORT).await;
    let _ = guard.extend(LONG).await;
    actor.at(10_000).await;
    if guard.check().is_ok() {
        actor.write(&guard).await;
    }
    let _ = guard.release().await;
}

async fn naive(actor: &Actor, simple: &Simple) {
    actor.at(200).await;
    let Some(guard) = simple.acquire(LOCK, None).await else {
        return;
    };
    actor.read(&guard).await;
    let _ = guard.extend(actor.client.ttl()).await;
    actor.at(1000).await;
    let _ = guard.extend(SHORT).await;
    let _ = guard.extend(LONG).await;
    actor.at(10_000).await;
    if guard.check() {
        actor.write(&guard).await;
    }
    let _ = guard.release().await;
}

/// How much nearer C1's end came, at most.
fn nearer(evidence: &Evidence<'_>) -> Option<u64> {
    let ends = evidence
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            Kind::AuthorityMoved {
                until_ns: Some(until),
                by: Some(by),
                ..
            } if by == "c1" => Some(*until),
            _ => None,
        });
    let ends: Vec<u64> = ends.collect();
    let pairs = ends.windows(2);
    pairs
        .filter_map(|pair| pair[0].checked_sub(pair[1]))
        .filter(|by| *by > 0)
        .max()
}

/// Whether the old request has come after the new one.
fn overtaken(evidence: &Evidence<'_>) -> Result<(), String> {
    let arrived = evidence.events.iter().any(|event| match &event.kind {
        Kind::Server { what, peer } => {
            let is_theirs = peer.as_deref() == Some("c1") && what.starts_with("EVAL");
            is_theirs && event.t_ns / 1_000_000 == STUCK_MS.end
        }
        _ => false,
    });
    match arrived {
        true => Ok(()),
        false => Err("the request that was held up did not arrive".to_owned()),
    }
}

fn shortened(evidence: &Evidence<'_>) -> Result<String, String> {
    overtaken(evidence)?;
    let nearer = nearer(evidence).ok_or("C1's lease was not shortened")?;
    let (first, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    Ok(format!(
        "C1's older request cut its lease by {}: {} and {} both believed that they held the lock, for {}.",
        span(nearer),
        upper(first),
        upper(second),
        span(ns)
    ))
}

fn kept(evidence: &Evidence<'_>) -> Result<String, String> {
    overtaken(evidence)?;
    if nearer(evidence).is_some() {
        return Err("C1's lease was shortened".to_owned());
    }
    let (_, how) = *evidence
        .ends("c1")
        .first()
        .ok_or("C1 did not have the lock")?;
    if how != "released" {
        return Err(format!("C1 lost its lock: {how}"));
    }
    let waited = *evidence
        .waits("c2")
        .first()
        .ok_or("C2 was not granted the lock")?;
    Ok(format!(
        "C1's older request arrived after the newer one and changed nothing: C1 worked in peace, and C2 waited {} for it.",
        span(waited)
    ))
}
