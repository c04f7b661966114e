use std::sync::Arc;

use super::evidence::{Evidence, span};
use super::parts::{Actor, simple_turn, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::SimRedis;
use crate::broken::client::simple::Simple;
use crate::broken::store::plain_redis;
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind, OldPrimary};
use crate::service::SimStore;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "replica-loss",
    title: "C1 acquires on the primary, which dies before the key is replicated; the stale replica is promoted; C2 acquires",
    section: Section::Caveat,
    lesson: "A Redis primary answers before its replica has a copy. If it dies in that moment, the replica takes over without the lock, \
             and grants it to somebody else, while the first holder has heard of nothing. \
             Tokens that only count up fall back, too, and both holders get the same one; tokens that also follow the clock still rise. \
             Then storage can tell the two apart, and rejects the first holder as soon as the second one was there.",
    source: "bsm/redislock#30 (a counter falls back with the replica); the Redis documentation says of its replication that it may lose the last writes",
    stores: &["redis-replica"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S1, Property::S3, Property::S7],
            outcome: parts::stale_write_accepted,
        },
        Take {
            way: Way::Naive,
            violates: &[Property::S1, Property::S3, Property::S4, Property::S7],
            outcome: same_token,
        },
        Take {
            way: Way::Fenced,
            violates: &[Property::S1, Property::S7],
            outcome: parts::stale_write_refused,
        },
    ],
    ttl_ms: 10_000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
    instead,
};

fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    let servers = SimRedis::primary_with_replica();
    let counting = || plain_redis::plain(servers, plain_redis::Flaw::CounterToken, false);
    (way == Way::Naive).then(|| Arc::new(counting()) as Arc<dyn SimStore>)
}

fn faults() -> Vec<Fault> {
    let lag = FaultKind::ReplicationLag {
        node: "redis-2".to_owned(),
        ms: 5000,
    };
    let failover = FaultKind::Failover {
        to: "redis-2".to_owned(),
        old: OldPrimary::Dies,
    };
    // It lags until after it was promoted.
    vec![fault(0, 1100, lag), fault(1000, 5000, failover)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        let simple = Simple::new(&actor.client);
        match (actor.client.number(), way) {
            (1, Way::Naive) => simple_turn(&actor, &simple, 200, 3200).await,
            (_, Way::Naive) => simple_turn(&actor, &simple, 1500, 2500).await,
            (1, _) => actor.long_turn(200, 3200).await,
            _ => actor.long_turn(1500, 2500).await,
        }
    })
}

fn same_token(evidence: &Evidence<'_>) -> Result<String, String> {
    let (first, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    let token = |node| evidence.grants(node).first().map(|grant| grant.token);
    if token(first) != token(second) {
        return Err("they did not get the same token".to_owned());
    }
    Ok(format!(
        "{} and {} both believed that they held the lock, for {}, and both had the token {}: no storage can tell which of them is the newer one.",
        upper(first),
        upper(second),
        span(ns),
        evidence.token(token(first)),
    ))
}
