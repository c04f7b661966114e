use super::evidence::{Evidence, span};
use super::parts::Actor;
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::trace::Kind;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "etcd-restored-orphan",
    title: "a restored snapshot brings back a lock that was released since; its lease lives on in the pool of its former owner",
    section: Section::Witness,
    lesson: "A backup of etcd holds the locks of its moment, with their leases. \
             If the cluster is restored from it, a lock that was released since is back, and nobody knows of it. \
             It would end with its lease; but the client whose lock it was keeps that lease alive, to save a request with its next lock. \
             So the others wait until that client uses the lease, or lets it go. Restart the clients of a cluster that was restored.",
    source: "found with dlock-etcd in this simulator: it keeps leases for the next lock",
    stores: &["etcd"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S6],
            outcome: came_back,
        },
        Take {
            way: Way::Fenced,
            violates: &[Property::S6],
            outcome: came_back,
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
    vec![fault(500, 2500, FaultKind::Restore)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => {
                actor.long_turn(200, 1500).await;
                actor.at(9000).await;
            }
            _ => actor.one_turn(3500).await,
        }
    })
}

fn came_back(evidence: &Evidence<'_>) -> Result<String, String> {
    let grants = evidence.grants("c1");
    let grant = grants.first().ok_or("C1 did not get the lock")?;
    let &(released, how) = evidence.ends("c1").first().ok_or("C1 did not let go")?;
    let back = evidence.events.iter().find_map(|event| match &event.kind {
        Kind::AuthorityBegins {
            attempt: Some(attempt),
            ..
        } if attempt == grant.attempt && event.t_ns > released => Some(event.t_ns),
        _ => None,
    });
    let back = back.ok_or("C1's lock did not come back")?;
    if how != "released" {
        return Err(format!("C1's lock had ended otherwise ({how})"));
    }
    let (asked, taken) = (evidence.asked("c2"), evidence.grants("c2"));
    let (Some(asked), Some(taken)) = (asked.first(), taken.first()) else {
        return Err("C2 did not get the lock".to_owned());
    };
    Ok(format!(
        "The restored snapshot brought C1's lock back {} after C1 had released it; C2 waited for {}, though the TTL is 2.0 s.",
        span(back - released),
        span(taken.t_ns - asked),
    ))
}
