use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "evicted",
    title: "a server that may evict drops the lock while it is held; C2 acquires",
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
    vec![fault(1000, 0, FaultKind::Evict)]
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
