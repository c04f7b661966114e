use std::sync::Arc;
use std::time::Duration;

use dlock_core::runtime::timeout;

use super::evidence::{Evidence, span};
use super::parts::{Actor, LOCK, hand_written, polled, simple_turn};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::broken::client::simple::Simple;
use crate::broken::store::plain_redis::Flaw;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::Kind;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "cancelled-acquire",
    title: "C1's program drops its acquire, again and again, each time at another point; C2 wants the lock each time",
    section: Section::Bug,
    lesson: "A program may stop waiting for a lock at any moment: its user leaves, or a time limit is over. \
             In asynchronous Rust the acquire then just vanishes, between any two of its steps, and cannot run another line of itself. \
             If its request had been sent, the lock is granted to nobody, and all others wait until its time is over. \
             So something that outlives the acquire has to take back what was asked for: at once, not at the end of the lease.",
    source: "all Rust lock crates that we measured leave keys behind",
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
            outcome: cleaned_up,
        },
    ],
    ttl_ms: 5000,
    clients: 3,
    active_ms: 6000,
    faults,
    job,
    instead,
};

/// How often C1 looks at its acquire before it drops it: each round ends at another point. The last is given the time
/// that it needs.
const LOOKS: [u32; 5] = [1, 2, 1, 1, 3];
const QUEUE_MS: u64 = 4000;

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    (way == Way::Naive).then(|| hand_written(Flaw::None))
}

fn round_ms(round: usize) -> u64 {
    600 + 600 * round as u64
}

/// Before two of the rounds the server forgets its scripts: so that there is more to wait for.
fn faults() -> Vec<Fault> {
    let forget = |round| fault(round_ms(round) - 50, 0, FaultKind::ScriptFlush);
    vec![forget(1), forget(2)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        let simple = Simple::new(&actor.client);
        let naive = way == Way::Naive;
        match actor.client.number() {
            1 => {
                for (round, looks) in LOOKS.into_iter().enumerate() {
                    actor.at(round_ms(round)).await;
                    let _ = match naive {
                        true => polled(&actor.client, looks, simple.acquire(LOCK, None))
                            .await
                            .is_some(),
                        false => polled(&actor.client, looks, actor.acquire())
                            .await
                            .is_some(),
                    };
                }
                actor.at(QUEUE_MS + 100).await;
                let runtime = actor.client.runtime();
                let until = runtime.now() + Duration::from_millis(400);
                let _ = match naive {
                    true => timeout(&*runtime, until, simple.acquire(LOCK, None))
                        .await
                        .is_ok(),
                    false => timeout(&*runtime, until, actor.acquire()).await.is_ok(),
                };
            }
            2 => {
                let turns = (0..LOOKS.len()).map(|round| round_ms(round) + 200);
                for at_ms in turns.chain([QUEUE_MS + 200]) {
                    match naive {
                        true => simple_turn(&actor, &simple, at_ms, at_ms).await,
                        false => actor.one_turn(at_ms).await,
                    }
                }
            }
            _ if naive => simple_turn(&actor, &simple, QUEUE_MS, QUEUE_MS + 1000).await,
            _ => actor.long_turn(QUEUE_MS, QUEUE_MS + 1000).await,
        }
    })
}

/// How often C1 dropped its acquire, and how long the lock was then nobody's, at the longest.
fn dropped(evidence: &Evidence<'_>) -> Result<(usize, u64), String> {
    let is_drop = |event: &&crate::trace::Event| matches!(event.kind, Kind::Abandoned { .. });
    let drops = evidence.events.iter().filter(is_drop).count();
    if drops < 4 {
        return Err(format!("C1 dropped its acquire {drops} times only"));
    }
    let lasted: Vec<u64> = evidence
        .orphans()
        .iter()
        .filter_map(|orphan| orphan.lasted())
        .collect();
    let longest = lasted.into_iter().max();
    Ok((
        drops,
        longest.ok_or("no dropped acquire was granted the lock")?,
    ))
}

fn left_behind(evidence: &Evidence<'_>) -> Result<String, String> {
    let (_, longest) = dropped(evidence)?;
    let waited = evidence.waits("c2").into_iter().max().unwrap_or(0);
    if longest < 4_900_000_000 || waited < 4_000_000_000 {
        return Err(format!("the lock was free again after {}", span(longest)));
    }
    Ok(format!(
        "C1 dropped its acquire, and the lock was nobody's for {}: C2 waited {}.",
        span(longest),
        span(waited)
    ))
}

fn cleaned_up(evidence: &Evidence<'_>) -> Result<String, String> {
    let (drops, longest) = dropped(evidence)?;
    let waits = evidence.waits("c2");
    let [alone @ .., queued] = &waits[..] else {
        return Err("C2 was not granted the lock".to_owned());
    };
    let alone = alone.iter().copied().max().unwrap_or(0);
    let (freed, _) = *evidence
        .ends("c3")
        .first()
        .ok_or("C3 did not have the lock")?;
    let after = evidence
        .grants("c2")
        .last()
        .map_or(0, |grant| grant.t_ns.saturating_sub(freed));
    if longest.max(alone).max(after) > 100_000_000 {
        return Err(format!(
            "the lock was nobody's for {}; C2 waited {}, and {} for C3, {} of which after C3 was done",
            span(longest),
            span(alone),
            span(*queued),
            span(after)
        ));
    }
    Ok(format!(
        "C1 dropped its acquire {drops} times; the lock was nobody's for {} at most, and C2, behind it in the queue, got it {} after C3 was done.",
        span(longest),
        span(after)
    ))
}
