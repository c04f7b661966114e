use super::evidence::{Evidence, span};
use super::parts::Actor;
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Disk, Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "etcd-leader-extends",
    title: "C1 dies holding the lock; a new etcd leader extends every lease to its full TTL and more: the orphan outlives its TTL",
    section: Section::Witness,
    lesson: "When etcd gets a new leader, that one does not know how much time each lease has left, so it gives all of them their full time again, and a little more. \
             That is right for a holder who is alive, and keeps a short outage from ending its lock. \
             But the lock of a client that died lives longer, too, and each change of leader adds another TTL. \
             The others wait longer than the TTL promises; nobody ever gets the lock too early.",
    source: "etcd's lease/lessor.go: Promote() extends every lease when a member becomes the leader",
    stores: &["etcd"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S6],
            outcome: outlived,
        },
        Take {
            way: Way::Fenced,
            violates: &[Property::S6],
            outcome: outlived,
        },
    ],
    ttl_ms: 2000,
    clients: 2,
    active_ms: 9000,
    faults,
    job,
    instead: parts::the_real_store,
};

fn faults() -> Vec<Fault> {
    let death = FaultKind::Kill {
        node: "c1".to_owned(),
    };
    let restart = FaultKind::Restart {
        node: "etcd-1".to_owned(),
        disk: Disk::Kept,
    };
    vec![
        fault(500, 8000, death),
        fault(1200, 500, restart),
        fault(2800, 0, FaultKind::NewLeader),
    ]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            // Killed with it in its hands.
            1 => actor.long_turn(200, 5000).await,
            _ => actor.one_turn(700).await,
        }
    })
}

fn outlived(evidence: &Evidence<'_>) -> Result<String, String> {
    let (died, _) = evidence.stopped("c1").ok_or("C1 did not die")?;
    let grants = evidence.grants("c1");
    let grant = grants.first().ok_or("C1 did not get the lock")?;
    let (ended, _) = evidence
        .authority_ended(grant.attempt)
        .ok_or("C1's lock did not end")?;
    // Two new leaders, a full TTL each.
    if ended - died < 3 * 2_000_000_000 {
        return Err(format!(
            "C1's lock outlived C1 by only {}",
            span(ended - died)
        ));
    }
    let (asked, taken) = (evidence.asked("c2"), evidence.grants("c2"));
    let (Some(asked), Some(taken)) = (asked.first(), taken.first()) else {
        return Err("C2 did not get the lock".to_owned());
    };
    Ok(format!(
        "C1's lock outlived C1 by {}, with a TTL of 2.0 s: each new leader gave its lease the full time again; C2 waited for {}.",
        span(ended - died),
        span(taken.t_ns - asked),
    ))
}
