use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind, OldPrimary};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "replica-loss",
    title: "C1 acquires on the primary, which dies before the key is replicated; the stale replica is promoted; C2 acquires",
    stores: &["redis-replica"],
    unfenced: &[Property::S1, Property::S3, Property::S7],
    fenced: &[Property::S1, Property::S7],
    refuses: true,
    ttl_ms: 10_000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
};

fn faults() -> Vec<Fault> {
    let lag = FaultKind::ReplicationLag {
        node: "redis-2".to_owned(),
        ms: 5000,
    };
    let failover = FaultKind::Failover {
        to: "redis-2".to_owned(),
        old: OldPrimary::Dies,
    };
    vec![fault(0, 1000, lag), fault(500, 5000, failover)]
}

fn job(client: SimClient, fencing: Fencing) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, fencing);
        match actor.client.number() {
            1 => actor.long_turn(200, 1500).await,
            _ => actor.one_turn(600).await,
        }
    })
}
