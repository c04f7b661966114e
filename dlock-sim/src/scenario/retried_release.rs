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
use crate::trace::CallKind;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "retried-release",
    title: "C1's release is done, but the answer is lost; C1 acquires again; then the old release is repeated",
    section: Section::Bug,
    lesson: "When no answer comes, nobody knows whether a request was carried out, so a careful client sends it again. \
             Here C1 has acquired the lock a second time before its old release is repeated. If the lock only notes which process \
             owns it, the old release fits the new lock, too, and deletes it under C1's feet. Each acquisition needs an id of its own, \
             which the release must show.",
    source: "etcd#22082 (two locks of one session have the same key, and the release deletes by the key)",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S5, Property::S7],
            outcome: deleted,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: kept,
        },
    ],
    ttl_ms: 3000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
    instead,
};

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    (way == Way::Naive).then(|| hand_written(Flaw::ReleasesById))
}

/// C1's requests arrive, the answers do not.
fn faults() -> Vec<Fault> {
    let unheard = FaultKind::OneWay {
        from: "redis-1".to_owned(),
        to: "c1".to_owned(),
    };
    vec![fault(1300, 1900, unheard)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match (actor.client.number(), way) {
            (1, Way::Naive) => one_owner(actor).await,
            (1, _) => one_id_each(actor).await,
            (_, Way::Naive) => {
                let simple = Simple::new(&actor.client);
                simple_turn(&actor, &simple, 100, 100).await;
                simple_turn(&actor, &simple, 5500, 6500).await;
            }
            _ => {
                actor.one_turn(100).await;
                actor.long_turn(5500, 6500).await;
            }
        }
    })
}

async fn one_id_each(actor: Actor) {
    actor.at(400).await;
    let Some(first) = actor.acquire().await else {
        return;
    };
    actor.read(&first).await;
    actor.write(&first).await;
    actor.at(3000).await;
    // Goes on while the rest of the process works.
    actor.client.spawn(async move {
        let _ = first.release().await;
    });
    actor.long_turn(4600, 7300).await;
}

/// All locks of the process show the same owner.
async fn one_owner(actor: Actor) {
    let simple = Simple::new(&actor.client).with_one_id();
    actor.at(400).await;
    let Some(first) = simple.acquire(LOCK, None).await else {
        return;
    };
    actor.read(&first).await;
    actor.write(&first).await;
    actor.at(3000).await;
    let client = actor.client.clone();
    actor.client.spawn(async move {
        while first.release().await.is_err() {
            client.sleep(Duration::from_secs(1)).await;
        }
    });
    simple_turn(&actor, &simple, 4600, 7300).await;
}

/// When C1's first release was repeated while its second lock was there, how long after the first time, and when that
/// lock ended.
fn repeated(evidence: &Evidence<'_>) -> Result<(u64, u64, u64), String> {
    let owners = evidence.owners();
    let grants = evidence.grants("c1");
    let [first, second] = &grants[..] else {
        return Err("C1 was not granted the lock twice".to_owned());
    };
    let second = owners
        .iter()
        .find(|owner| owner.token == Some(second.token));
    let second = second.ok_or("C1's second lock was nobody's")?;
    let calls = evidence.calls("c1", CallKind::Release);
    let mut of_first = calls
        .iter()
        .filter(|(_, token)| *token == Some(first.token));
    let sent = of_first
        .next()
        .ok_or("C1 did not release its first lock")?
        .0;
    let again = of_first.find(|(t_ns, _)| *t_ns > second.from_ns);
    let again = again
        .ok_or("the release was not repeated after the second grant")?
        .0;
    let (ended, ..) = second.end.ok_or("C1's second lock did not end")?;
    Ok((again, again - sent, ended))
}

fn deleted(evidence: &Evidence<'_>) -> Result<String, String> {
    let (again, later, ended) = repeated(evidence)?;
    if ended > again + 50_000_000 {
        return Err("the repeated release did not end C1's second lock".to_owned());
    }
    let (first, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    Ok(format!(
        "C1's old release, repeated after {}, deleted its new lock: {} still believed in it when {} was let in, for {}.",
        span(later),
        upper(first),
        upper(second),
        span(ns)
    ))
}

fn kept(evidence: &Evidence<'_>) -> Result<String, String> {
    let (_, later, ended) = repeated(evidence)?;
    let done = *evidence
        .ends("c1")
        .get(1)
        .ok_or("C1 was not granted the lock twice")?;
    if done.1 != "released" || ended < done.0 {
        return Err("C1 lost its second lock".to_owned());
    }
    let waited = *evidence
        .waits("c2")
        .get(1)
        .ok_or("C2 was not granted the lock")?;
    Ok(format!(
        "C1's old release, repeated after {}, left its new lock alone: C2 waited {}, until C1 was done.",
        span(later),
        span(waited)
    ))
}
