use std::ops::Range;
use std::sync::Arc;

use dlock_core::LockName;
use dlock_redis::redis::cmd;

use super::evidence::{Evidence, span};
use super::parts::{Actor, LOCK, free_before};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::SimRedis;
use crate::broken::client::{self, Naive};
use crate::broken::store::plain_redis::{self, simple};
use crate::broken::store::raw_redis::{RawRedis, counter_key};
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind, Garbage};
use crate::service::SimStore;
use crate::trace::{AuthorityEnd, CallKind, Outcome};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "garbage-replies",
    title: "another program writes over the counter of the lock's tokens, and C1 asks for the lock; later the server's answers to C2 are nonsense",
    section: Section::Bug,
    lesson: "Other programs use the same server, and sometimes the same keys: a lock library finds text where it keeps a number. \
             The simple one takes the lock first and counts its token up afterwards, which fails; its client is told of an error, and the lock stays behind with nobody to release it. \
             Redis does not undo a script that fails half way, so a script must look at everything it needs before it writes anything. \
             And an answer that makes no sense says nothing about the lock: its holder must ask again, and believe in its lock until the time it was promised is over.",
    source: "redis-lock 0.5, which fails on a foreign key; a script of SET and INCR, tried on Redis 7.0",
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
            outcome: nothing_left,
        },
    ],
    ttl_ms: 6000,
    clients: 3,
    active_ms: 13_000,
    faults,
    job,
    instead,
};

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    match way {
        Way::Naive => Some(Arc::new(simple(
            SimRedis::single(),
            plain_redis::Flaw::LockBeforeCounter,
        ))),
        _ => None,
    }
}

/// Each kind of nonsense, when it begins, and for how long: around one of C2's renewals, and over before C2 has tried
/// again for long.
const NONSENSE: [(Garbage, u64, u64); 3] = [
    (Garbage::AbsurdNumber, 6900, 200),
    (Garbage::WrongType, 9000, 350),
    (Garbage::CutShort, 11_200, 500),
];

fn faults() -> Vec<Fault> {
    let garble = |(answers, at_ms, for_ms)| {
        let node = "redis-1".to_owned();
        fault(at_ms, for_ms, FaultKind::Garble { node, answers })
    };
    NONSENSE.map(garble).to_vec()
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => {
                actor.at(600).await;
                match way {
                    Way::Naive => ask_once(&actor).await,
                    _ => drop(actor.lock().try_acquire().await),
                }
            }
            // Its renewals are answered with nonsense.
            2 => actor.long_turn(3000, 12_500).await,
            _ => other_program(&actor).await,
        }
    })
}

async fn ask_once(actor: &Actor) {
    let Ok(name) = LockName::new(LOCK) else {
        return;
    };
    let naive = Naive::new(actor.client.clone(), client::Flaw::None);
    let _ = naive.try_once(&name).await;
}

/// Writes text over the counter, and takes it away after a while.
async fn other_program(actor: &Actor) {
    let Ok(name) = LockName::new(LOCK) else {
        return;
    };
    let redis = RawRedis::beside(&actor.client, "redis-1");
    let counter = counter_key(&name);
    actor.at(300).await;
    actor
        .client
        .note("another program writes text over the counter of the tokens");
    let mut set = cmd("SET");
    set.arg(&counter).arg("not a number");
    let _ = redis.run(&set).await;
    actor.at(2000).await;
    actor.client.note("an operator removes the text");
    let _ = redis.run(cmd("DEL").arg(&counter)).await;
}

fn told_of_an_error(evidence: &Evidence<'_>) -> Result<(), String> {
    match evidence.refusals("c1").first() {
        Some((_, "store")) => Ok(()),
        Some((_, why)) => Err(format!("C1 was told `{why}`")),
        None => Err("C1 was told nothing".to_owned()),
    }
}

fn left_behind(evidence: &Evidence<'_>) -> Result<String, String> {
    told_of_an_error(evidence)?;
    let ends = evidence.ends_of_locks();
    let (_, why, by) = ends.first().ok_or("no lock was left behind")?;
    if *why != AuthorityEnd::Expired {
        return Err(format!("the lock was released by {by:?}"));
    }
    let (asked, granted) = (evidence.asked("c2"), evidence.grants("c2"));
    let (Some(asked), Some(granted)) = (asked.first(), granted.first()) else {
        return Err("C2 did not get the lock".to_owned());
    };
    Ok(format!(
        "C1 was told of an error, and yet the lock was taken: C2 waited {} for nobody.",
        span(granted.t_ns - asked)
    ))
}

/// How many of C2's renewals the server carried out at such a time without C2 being able to know.
fn spoiled(evidence: &Evidence<'_>, ms: Range<u64>) -> usize {
    let moved = evidence.moved_by("c2");
    let renewals = evidence.served("c2", CallKind::Renew);
    let spoiled = renewals.iter().filter(|renewal| {
        ms.contains(&(renewal.served_ns / 1_000_000))
            && moved.contains(&renewal.served_ns)
            && renewal.outcome == Outcome::Indeterminate
    });
    spoiled.count()
}

fn nothing_left(evidence: &Evidence<'_>) -> Result<String, String> {
    told_of_an_error(evidence)?;
    if free_before(evidence, "c2").is_ok() {
        return Err("somebody had the lock before C2".to_owned());
    }
    let (asked, granted) = (evidence.asked("c2"), evidence.grants("c2"));
    let (Some(asked), Some(granted)) = (asked.first(), granted.first()) else {
        return Err("C2 did not get the lock".to_owned());
    };
    let asked_for = evidence.answers("c1", CallKind::Attempt);
    if asked_for != [Outcome::Rejected] {
        return Err(format!(
            "C1 was not told that somebody must help: {asked_for:?}"
        ));
    }
    let mut nonsense = 0;
    for (kind, at_ms, for_ms) in NONSENSE {
        let spoiled = spoiled(evidence, at_ms..at_ms + for_ms);
        if spoiled == 0 {
            return Err(format!("no renewal was answered with {kind:?}"));
        }
        nonsense += spoiled;
    }
    let kept = evidence
        .ends("c2")
        .iter()
        .all(|(_, how)| *how == "released");
    if !kept || evidence.writes().is_empty() {
        return Err("C2 lost the lock".to_owned());
    }
    Ok(format!(
        "C1 was told what was wrong, and nothing was taken: C2 had the lock after {}, and kept it through {nonsense} renewals that the server carried out and answered with nonsense, of three kinds.",
        span(granted.t_ns - asked)
    ))
}
