use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "stale-etcd-leader",
    title: "the leader is stuck in fsync and replaced; when it wakes up, its revocation of a lease that was renewed meanwhile takes effect",
    stores: &["etcd"],
    unfenced: &[Property::S1, Property::S7],
    fenced: &[Property::S1, Property::S7],
    refuses: false,
    ttl_ms: 4000,
    clients: 2,
    active_ms: 16000,
    faults,
    job,
};

fn faults() -> Vec<Fault> {
    let stall = FaultKind::StallDisk {
        node: "etcd-1".to_owned(),
    };
    vec![fault(1000, 9000, stall)]
}

fn job(client: SimClient, fencing: Fencing) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, fencing);
        match actor.client.number() {
            1 => actor.long_turn(200, 13_000).await,
            _ => actor.one_turn(2000).await,
        }
    })
}
