use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "server-clock-forward",
    title: "the clock of the Redis server steps forward past the end of the lease; C2 acquires",
    stores: &["redis"],
    unfenced: &[Property::S1, Property::S3, Property::S7],
    fenced: &[Property::S1, Property::S7],
    refuses: true,
    ttl_ms: 10000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
};

fn faults() -> Vec<Fault> {
    let step = FaultKind::ClockStep {
        node: "redis-1".to_owned(),
        by_ms: 15_000,
    };
    vec![fault(1000, 0, step)]
}

fn job(client: SimClient, fencing: Fencing) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, fencing);
        match actor.client.number() {
            1 => actor.long_turn(200, 2500).await,
            _ => actor.one_turn(1500).await,
        }
    })
}
