use super::evidence::{Evidence, span};
use super::parts::{self, Actor, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::trace::AuthorityEnd;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stale-etcd-leader-renews",
    title: "the leader is stuck in fsync and replaced, but goes on answering C1's renewals, of which its successor never hears",
    section: Section::Witness,
    lesson: "A leader of etcd whose disk hangs may not know that it was replaced, and answers renewals from its memory. \
             The new leader never hears of them and ends C1's lease, as it must. \
             C1 talks to the old leader only: each renewal is answered, and nothing that it watches moves there. \
             So C1 believes until the time of its last answer is over, or until the old leader learns of its replacement. \
             Only the fence protects the data meanwhile.",
    source: "etcd#15247, the second of the two ways that are described there",
    stores: &["etcd"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S1, Property::S3, Property::S7],
            outcome: believed_on,
        },
        Take {
            way: Way::Fenced,
            violates: &[Property::S1, Property::S7],
            outcome: parts::stale_write_refused,
        },
    ],
    ttl_ms: 4000,
    clients: 2,
    active_ms: 12_000,
    faults,
    job,
    instead: parts::the_real_store,
};

fn faults() -> Vec<Fault> {
    let stall = FaultKind::StallDisk {
        node: "etcd-1".to_owned(),
    };
    vec![fault(1000, 9000, stall)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => actor.long_turn(200, 7600).await,
            _ => actor.long_turn(2000, 9500).await,
        }
    })
}

fn believed_on(evidence: &Evidence<'_>) -> Result<String, String> {
    let grants = evidence.grants("c1");
    let grant = grants.first().ok_or("C1 did not get the lock")?;
    let Some((ended, AuthorityEnd::Expired)) = evidence.authority_ended(grant.attempt) else {
        return Err("C1's lease did not end by itself".to_owned());
    };
    let (_, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    let writes = evidence.writes();
    let late = writes
        .iter()
        .find(|write| write.by == "c1" && write.t_ns > ended);
    let late = late.ok_or("C1 did not write after its loss")?;
    Ok(format!(
        "C1's renewals were answered by the old leader; the new one ended its lease, C1 wrote {} later, and it and {} both believed for {}.",
        span(late.t_ns - ended),
        upper(second),
        span(ns),
    ))
}
