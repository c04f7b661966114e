use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "etcd-restore",
    title: "the cluster is restored from a snapshot: revisions go back, locks granted since are gone, tokens repeat",
    stores: &["etcd"],
    unfenced: &[Property::S1, Property::S4, Property::S7],
    fenced: &[Property::S1, Property::S4, Property::S7],
    refuses: true,
    ttl_ms: 10000,
    clients: 2,
    active_ms: 10000,
    faults,
    job,
};

fn faults() -> Vec<Fault> {
    vec![fault(500, 3000, FaultKind::Restore)]
        .into_iter()
        .chain(parts::cut_off_from_etcd("c1", 3400, 1500))
        .collect()
}

fn job(client: SimClient, fencing: Fencing) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, fencing);
        match actor.client.number() {
            1 => {
                actor.one_turn(1000).await;
                actor.one_turn(2000).await;
                actor.long_turn(2500, 6000).await;
            }
            _ => actor.one_turn(3600).await,
        }
    })
}
