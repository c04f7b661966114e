use std::sync::Arc;

use super::evidence::{Evidence, span};
use super::parts::{Actor, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::broken::store::etcd_recipe::{Flaw, recipe};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::AuthorityEnd;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "adopted-session",
    title: "C1's process is restarted and finds the lock's entry of its former life, whose lease nobody renews any more",
    section: Section::Bug,
    lesson: "An entry in a lock's queue ends with the session, or lease, under which it was made, and not before: \
             so a client that comes back under a new session finds the entry of its old one still there. \
             If it takes that for its own because its name stands on it, it believes in a lock that nobody keeps alive. \
             The server removes the old entry when its time is over, and the next client gets the lock beside it. \
             Each attempt needs an id of its own, and an entry with any other id is somebody else's, whatever name is on it.",
    source: "curator#1121: after a new session, the lock node of the expired one was found and taken for one's own",
    stores: &["etcd"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S4, Property::S7],
            outcome: adopted,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: waited,
        },
    ],
    ttl_ms: 4000,
    clients: 2,
    active_ms: 11_000,
    faults,
    job,
    instead,
};

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    match way {
        Way::Naive => Some(Arc::new(recipe(Flaw::AdoptsByLabel))),
        _ => None,
    }
}

fn faults() -> Vec<Fault> {
    let restart = FaultKind::Kill {
        node: "c1".to_owned(),
    };
    vec![fault(1000, 500, restart)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => actor.long_turn(200, 8500).await,
            _ => actor.long_turn(700, 7500).await,
        }
    })
}

/// When the entry of C1's former life ended by itself.
fn reaped(evidence: &Evidence<'_>) -> Result<u64, String> {
    let grants = evidence.grants("c1");
    let former = grants.first().ok_or("C1 did not get the lock")?;
    match evidence.authority_ended(former.attempt) {
        Some((t_ns, AuthorityEnd::Expired)) => Ok(t_ns),
        _ => Err("C1's old entry did not end by itself".to_owned()),
    }
}

fn adopted(evidence: &Evidence<'_>) -> Result<String, String> {
    let (_, restarted) = evidence.stopped("c1").ok_or("C1 was not restarted")?;
    let grants = evidence.grants("c1");
    let second = grants.get(1).ok_or("C1 did not get the lock again")?;
    let reaped = reaped(evidence)?;
    if second.t_ns >= reaped {
        return Err("C1 got the lock after its old entry had ended".to_owned());
    }
    let (_, other, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    Ok(format!(
        "C1 took its old entry for its own {} after its restart; {} later that entry ended, and C1 and {} both believed for {}.",
        span(second.t_ns - restarted),
        span(reaped - second.t_ns),
        upper(other),
        span(ns),
    ))
}

fn waited(evidence: &Evidence<'_>) -> Result<String, String> {
    let (_, restarted) = evidence.stopped("c1").ok_or("C1 was not restarted")?;
    let reaped = reaped(evidence)?;
    let (first, second) = (evidence.grants("c1"), evidence.grants("c2"));
    let again = first.get(1).ok_or("C1 did not get the lock again")?;
    let second = second.first().ok_or("C2 did not get the lock")?;
    if second.t_ns < reaped || again.t_ns < second.t_ns {
        return Err("C1 did not stand in line".to_owned());
    }
    Ok(format!(
        "C1 waited its turn: C2 got the lock {} after C1's old entry had ended, and C1 got it {} after its restart, under a new token ({}).",
        span(second.t_ns - reaped),
        span(again.t_ns - restarted),
        evidence.token(Some(again.token)),
    ))
}
