use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "deleted-key",
    title: "an operator deletes the key of a lock that is held; C2 acquires before C1 hears of it",
    stores: &["etcd"],
    unfenced: &[Property::S1, Property::S7],
    fenced: &[Property::S1, Property::S7],
    refuses: false,
    ttl_ms: 10000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
};

fn faults() -> Vec<Fault> {
    let delete = FaultKind::DeleteLock {
        name: parts::LOCK.to_owned(),
    };
    vec![fault(1500, 0, delete)]
        .into_iter()
        .chain(parts::cut_off_from_etcd("c1", 1450, 500))
        .collect()
}

fn job(client: SimClient, fencing: Fencing) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, fencing);
        match actor.client.number() {
            1 => actor.long_turn(200, 2500).await,
            _ => actor.one_turn(1000).await,
        }
    })
}
