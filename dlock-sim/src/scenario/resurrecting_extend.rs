use std::sync::Arc;

use super::evidence::{Evidence, span};
use super::parts::{Actor, LOCK, simple_turn};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::SimRedis;
use crate::broken::client::simple::Simple;
use crate::broken::store::over_redis::{Flaw, flawed};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::{AuthorityEnd, CallKind, Outcome};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "resurrecting-extend",
    title: "C1's request for more time is held up on its way until its lease has ended and C2 has acquired, written and released",
    section: Section::Bug,
    lesson: "A program asks for more time before it goes on. If the lock is gone when the request arrives, and the request simply takes it again, \
             the program hears yes and believes that it had the lock all the time. \
             In between somebody else had it, and what the program had read before is out of date. \
             More time may be given only to a lock that is still there: what has ended stays ended, and its holder must be told.",
    source: "redlock-rb#36",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S3, Property::S6],
            outcome: brought_back,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: told,
        },
    ],
    ttl_ms: 3000,
    clients: 2,
    active_ms: 6000,
    faults,
    job,
    instead,
};

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    match way {
        Way::Naive => Some(Arc::new(flawed(
            SimRedis::single(),
            Flaw::RenewalResurrects,
        ))),
        _ => None,
    }
}

/// While C1's requests are held up: shorter than either locker waits for an answer.
const STUCK_MS: std::ops::Range<u64> = 3700..4700;
/// Shortly before C1's lease ends.
const ASKS_MS: u64 = 3800;

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
            (1, Way::Naive) => {
                actor.at(1000).await;
                if let Some(guard) = simple.acquire(LOCK, None).await {
                    actor.read(&guard).await;
                    // Over the connection that gets stuck later.
                    let _ = guard.extend(actor.client.ttl()).await;
                    actor.at(ASKS_MS).await;
                    if guard.extend(actor.client.ttl()).await {
                        actor.write(&guard).await;
                    }
                    let _ = guard.release().await;
                }
            }
            (1, _) => {
                actor.at(1000).await;
                if let Ok(guard) = actor.lock().auto_renew(false).acquire().await {
                    actor.read(&guard).await;
                    // The server has the script from here on: what is held up is the request that renews.
                    let _ = guard.extend(actor.client.ttl()).await;
                    actor.at(ASKS_MS).await;
                    if guard.extend(actor.client.ttl()).await.is_ok() {
                        actor.write(&guard).await;
                    }
                    let _ = guard.release().await;
                }
            }
            (_, Way::Naive) => simple_turn(&actor, &simple, 2000, 4300).await,
            _ => actor.long_turn(2000, 4300).await,
        }
    })
}

fn brought_back(evidence: &Evidence<'_>) -> Result<String, String> {
    let writes = evidence.writes();
    let [.., before, last] = &writes[..] else {
        return Err("there were no two writes".to_owned());
    };
    if (before.by, last.by) != ("c2", "c1") || last.token > before.token {
        return Err("C1 did not write over what C2 had written".to_owned());
    }
    Ok(format!(
        "C1 was told yes when it asked for more time, and wrote over what C2 had written {} before.",
        span(last.t_ns - before.t_ns)
    ))
}

fn told(evidence: &Evidence<'_>) -> Result<String, String> {
    let (grants, theirs) = (evidence.grants("c1"), evidence.grants("c2"));
    let grant = grants.first().ok_or("C1 was not granted the lock")?;
    let theirs = theirs.first().ok_or("C2 did not have the lock")?;
    let done = match evidence.authority_ended(theirs.attempt) {
        Some((done, AuthorityEnd::Removed)) => done,
        _ => return Err("C2 did not release the lock".to_owned()),
    };
    let late = evidence.served_after("c1", CallKind::Renew, done);
    let late = late.ok_or("no server got C1's request after C2 was done")?;
    if late.outcome != Outcome::NotOwner {
        return Err(format!("C1's late request was answered {:?}", late.outcome));
    }
    let (_, how) = *evidence.ends("c1").first().ok_or("C1 was told nothing")?;
    if how == "released" || evidence.writes().iter().any(|write| write.by == "c1") {
        return Err("C1 believed that it had the lock all the time".to_owned());
    }
    let owners = evidence.owners();
    let mut of_grant = owners
        .iter()
        .filter(|owner| owner.attempt == Some(grant.attempt));
    if of_grant.nth(1).is_some() {
        return Err("C1's lock was brought back".to_owned());
    }
    Ok(format!(
        "C1's request for more time reached the server {} after C2 was done: it was refused, nothing was brought back, and C1 wrote nothing.",
        span(late.served_ns - done)
    ))
}
