use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "etcd-restored-orphan",
    title: "a restored snapshot brings back a lock that was released since; its lease lives on in the pool of its former owner",
    stores: &["etcd"],
    unfenced: &[Property::S6],
    fenced: &[Property::S6],
    refuses: false,
    ttl_ms: 2000,
    clients: 2,
    active_ms: 9000,
    faults,
    job,
};

fn faults() -> Vec<Fault> {
    vec![fault(500, 2500, FaultKind::Restore)]
}

fn job(client: SimClient, fencing: Fencing) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, fencing);
        match actor.client.number() {
            1 => {
                actor.long_turn(200, 1500).await;
                actor.at(9000).await;
            }
            _ => actor.one_turn(3500).await,
        }
    })
}
