use std::ops::Range;
use std::sync::Arc;

use super::evidence::{Evidence, span};
use super::parts::Actor;
use super::{JobFuture, Scenario, Section, Take, Way};
use crate::SimRedis;
use crate::broken::store::by_message::{Told, by_message};
use crate::client::SimClient;
use crate::faults::Fault;
use crate::service::SimStore;
use crate::trace::Kind;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stampede",
    title: "500 wait on five machines; C1 releases once",
    section: Section::Bug,
    lesson: "Whoever waits for a lock can have itself told when it is released. \
             If everybody who waits is told, all of them run for the one lock, one gets it, and the server has to refuse all the others. \
             The load of each release grows with the number of those who wait, not with the work that is done. \
             If they queue, a release wakes the one whose turn it is.",
    source: "lock libraries whose waiters are all woken by one release",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[],
            outcome: all_ran,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: one_was_woken,
        },
    ],
    ttl_ms: 3000,
    clients: 6,
    active_ms: 1000,
    faults: Vec::<Fault>::new,
    job,
    instead,
};

/// On each machine but C1.
const WAITERS: u64 = 100;

/// When C1 releases.
const RELEASE: u64 = 1000;

/// When those who have not got it give up.
const END: u64 = 1500;

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
            actor.at(200).await;
            if let Some(guard) = actor.acquire().await {
                actor.at(RELEASE).await;
                let _ = guard.release().await;
            }
            return;
        }
        // The machines come one after the other, each with all of its waiters.
        actor.at(200 + 20 * actor.client.number() as u64).await;
        for _ in 0..WAITERS {
            let waiter = Actor::new(actor.client.clone(), way);
            actor.client.spawn(wait(waiter));
        }
        actor.at(END + 100).await;
    })
}

/// Whoever gets the lock keeps it until the end.
async fn wait(waiter: Actor) {
    let lock = waiter.lock().wait(waiter.until(END));
    if let Ok(guard) = lock.acquire().await {
        waiter.at(END).await;
        let _ = guard.release().await;
    }
}

/// What the server was asked around one release.
struct Asked {
    /// In the half second before.
    before: usize,
    /// From then on until everybody gave up.
    after: usize,
    /// Until the next one had the lock.
    free: u64,
}

fn asked_around_the_release(evidence: &Evidence<'_>) -> Result<Asked, String> {
    let freed = *evidence.lock_ends().first().ok_or("C1 did not release")?;
    let next = (2..=6).flat_map(|number| evidence.grants(&format!("c{number}")));
    let next = next.map(|grant| grant.t_ns).min();
    let next = next.ok_or("nobody got the lock after C1")?;
    let asked = |span: Range<u64>| {
        let asked = evidence.events.iter().filter(|event| {
            let is_asked =
                matches!(&event.kind, Kind::Server { what, .. } if what.starts_with("EVAL"));
            is_asked && span.contains(&event.t_ns)
        });
        asked.count()
    };
    Ok(Asked {
        before: asked(freed - 500_000_000..freed),
        after: asked(freed..END * 1_000_000),
        free: next - freed,
    })
}

fn all_ran(evidence: &Evidence<'_>) -> Result<String, String> {
    let Asked {
        before,
        after,
        free,
    } = asked_around_the_release(evidence)?;
    if before > 10 || after < 500 {
        return Err(format!(
            "the server was asked {before} times before the release, {after} times after it"
        ));
    }
    Ok(format!(
        "The release woke all of 500: the server was asked {} in the half second before, {} after it, and one got the lock, after {}.",
        times(before),
        times(after),
        span(free)
    ))
}

fn one_was_woken(evidence: &Evidence<'_>) -> Result<String, String> {
    let Asked {
        before,
        after,
        free,
    } = asked_around_the_release(evidence)?;
    // The release, and the waiter that it woke; each perhaps twice, when the server does not know the script yet.
    if before > 10 || after > 4 {
        return Err(format!(
            "the server was asked {before} times before the release, {after} times after it"
        ));
    }
    Ok(format!(
        "One of 500 was woken and had the lock {} after the release; the server was asked {} in the half second before, {} after it.",
        span(free),
        times(before),
        times(after),
    ))
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        _ => format!("{count} times"),
    }
}
