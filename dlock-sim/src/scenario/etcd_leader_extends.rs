use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Disk, Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "etcd-leader-extends",
    title: "C1 dies holding the lock; a new etcd leader extends every lease to its full TTL and more: the orphan outlives its TTL",
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
    let death = FaultKind::Kill {
        node: "c1".to_owned(),
    };
    let restart = FaultKind::Restart {
        node: "etcd-1".to_owned(),
        disk: Disk::Kept,
    };
    vec![
        fault(500, 8000, death),
        fault(1200, 500, restart),
        fault(2800, 0, FaultKind::NewLeader),
    ]
}

fn job(client: SimClient, fencing: Fencing) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, fencing);
        match actor.client.number() {
            // Killed with it in its hands.
            1 => actor.long_turn(200, 5000).await,
            _ => actor.one_turn(700).await,
        }
    })
}
