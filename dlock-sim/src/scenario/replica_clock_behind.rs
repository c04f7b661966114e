use super::parts::Actor;
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind, OldPrimary};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "replica-clock-behind",
    title: "a stale replica whose clock is behind is promoted: it mints tokens below those of the primary that was lost",
    section: Section::Witness,
    lesson: "Each grant gets a number, its token, and a later grant must get a higher one, so that the storage can tell old from new. \
             Redis copies its data to a replica a moment later; when the primary dies at that moment, the replica has never heard of its last tokens. \
             Here tokens then follow the clock, which helps unless the replica's clock is behind: C2's token is lower than C1's. \
             A fence takes C2 for the older one and refuses it, which is safe, but C2 cannot work. \
             Keep the servers' clocks together.",
    source: "an exception that dlock-redis declares; bsm/redislock#30 has equal tokens after a failover",
    stores: &["redis-replica"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S3, Property::S4],
            outcome: parts::lower_token_accepted,
        },
        Take {
            way: Way::Fenced,
            violates: &[Property::S4],
            outcome: parts::lower_token_refused,
        },
    ],
    ttl_ms: 2000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
    instead: parts::the_real_store,
};

fn faults() -> Vec<Fault> {
    let behind = FaultKind::ClockStep {
        node: "redis-2".to_owned(),
        by_ms: -60_000,
    };
    let lag = FaultKind::ReplicationLag {
        node: "redis-2".to_owned(),
        ms: 5000,
    };
    let failover = FaultKind::Failover {
        to: "redis-2".to_owned(),
        old: OldPrimary::Dies,
    };
    vec![
        fault(0, 0, behind),
        fault(0, 1000, lag),
        fault(800, 5000, failover),
    ]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => actor.one_turn(200).await,
            _ => actor.one_turn(1500).await,
        }
    })
}
