use super::evidence::{Accessed, Evidence, span};
use super::parts::{Actor, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind, OldPrimary};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "split-brain-primary",
    title: "a replica is promoted while C1 and C3 still reach the old primary and C2 the new one: both sides grant, in turn",
    section: Section::Caveat,
    lesson: "A database with a replica may end up with two servers that both take themselves for the primary. \
             Each of them hands out the same lock, and neither hears of the other, so there are two holders for as long as the split lasts. \
             No client can see that from where it stands. \
             Storage that takes only the newest token it has seen can: the holders disturb one another, but none silently overwrites what a newer one has done.",
    source: "Kyle Kingsbury, Call me maybe: Redis (2013)",
    stores: &["redis-replica"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S1, Property::S2, Property::S3],
            outcome: overwritten,
        },
        Take {
            way: Way::Fenced,
            violates: &[Property::S1, Property::S2],
            outcome: refused_in_turn,
        },
    ],
    ttl_ms: 5000,
    clients: 3,
    active_ms: 8000,
    faults,
    job,
    instead: parts::the_real_store,
};

fn faults() -> Vec<Fault> {
    let lag = FaultKind::ReplicationLag {
        node: "redis-2".to_owned(),
        ms: 5000,
    };
    let failover = FaultKind::Failover {
        to: "redis-2".to_owned(),
        old: OldPrimary::StaysForSome,
    };
    vec![fault(0, 1000, lag), fault(500, 6000, failover)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => actor.long_turn(200, 2500).await,
            2 => actor.long_turn(1000, 5000).await,
            // Waits for C1, on the old side.
            _ => actor.long_turn(1500, 5500).await,
        }
    })
}

/// Who was granted the lock, in turn; and for how long there were two holders.
fn in_turn(evidence: &Evidence<'_>) -> Result<(String, u64), String> {
    let mut grants = Vec::new();
    for node in ["c1", "c2", "c3"] {
        let of_node = evidence.grants(node);
        grants.extend(
            of_node
                .into_iter()
                .map(|grant| (grant.t_ns, grant.token, node)),
        );
    }
    grants.sort_unstable();
    let order: Vec<&str> = grants.iter().map(|(_, _, node)| *node).collect();
    if order != ["c1", "c2", "c3"] || !grants.is_sorted_by_key(|(_, token, _)| *token) {
        return Err(format!("the sides did not grant in turn: {order:?}"));
    }
    let (_, _, together) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    let names: Vec<String> = order.into_iter().map(upper).collect();
    Ok((names.join(", "), together))
}

fn overwritten(evidence: &Evidence<'_>) -> Result<String, String> {
    let (names, together) = in_turn(evidence)?;
    let writes = evidence.writes();
    let accesses = evidence.accesses();
    let is_stale = |write: &&Accessed<'_>| {
        let newer = |other: &Accessed<'_>| {
            other.accepted && other.seq < write.seq && other.token > write.token
        };
        accesses.iter().any(newer)
    };
    let stale = writes.iter().filter(is_stale).count();
    if stale < 2 {
        return Err(format!("{stale} stale writes were accepted"));
    }
    Ok(format!(
        "{names} were granted the lock in turn, C1 and C2 held it together for {}, and storage accepted {stale} of {} writes from one that was not the newest holder any more.",
        span(together),
        writes.len(),
    ))
}

fn refused_in_turn(evidence: &Evidence<'_>) -> Result<String, String> {
    let (names, together) = in_turn(evidence)?;
    let refused = evidence.refused();
    let [first, second] = &refused[..] else {
        return Err(format!("the fence refused {} times", refused.len()));
    };
    if (first.by, second.by) != ("c1", "c2") {
        return Err("the fence did not refuse C1 and C2".to_owned());
    }
    if evidence
        .writes()
        .last()
        .is_none_or(|write| write.by != "c3")
    {
        return Err("C3 did not write".to_owned());
    }
    Ok(format!(
        "{names} were granted the lock in turn, C1 and C2 held it together for {}; storage rejected C1's token {} and then C2's {}, and kept what the newest holder wrote.",
        span(together),
        evidence.token(first.token),
        evidence.token(second.token),
    ))
}
