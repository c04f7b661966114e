use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind, OldPrimary};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "replica-clock-behind",
    title: "a stale replica whose clock is behind is promoted: it mints tokens below those of the primary that was lost",
    stores: &["redis-replica"],
    unfenced: &[Property::S4],
    fenced: &[Property::S4],
    refuses: true,
    ttl_ms: 2000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
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

fn job(client: SimClient, fencing: Fencing) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, fencing);
        match actor.client.number() {
            1 => actor.one_turn(200).await,
            _ => actor.one_turn(1500).await,
        }
    })
}
