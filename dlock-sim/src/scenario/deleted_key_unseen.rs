use super::parts::Actor;
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "deleted-key-unseen",
    title: "an operator deletes the key of a lock while its holder C1 is cut off from etcd: C2 acquires before C1 hears of it",
    section: Section::Witness,
    lesson: "A holder on etcd watches its own key, and is told at once when somebody deletes it. \
             But nobody can be told who cannot be reached: here the operator deletes the key while C1 is cut off from all members. \
             C2 gets the free lock, and C1 believes in its own until its deadline, or until it is connected again. \
             So do not delete a lock by hand while its holder may still work, and let the storage check tokens.",
    source: "a limit of every lock whose keys can be deleted by hand: etcdctl del, or a clean-up script",
    stores: &["etcd"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S1, Property::S3, Property::S7],
            outcome: parts::two_holders,
        },
        Take {
            way: Way::Fenced,
            violates: &[Property::S1, Property::S7],
            outcome: parts::stale_write_refused,
        },
    ],
    ttl_ms: 10_000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
    instead: parts::the_real_store,
};

fn faults() -> Vec<Fault> {
    let delete = FaultKind::DeleteLock {
        name: parts::LOCK.to_owned(),
    };
    vec![fault(2000, 0, delete)]
        .into_iter()
        .chain(parts::cut_off_from_etcd("c1", 1800, 4000))
        .collect()
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => actor.long_turn(200, 4500).await,
            _ => actor.long_turn(1000, 4000).await,
        }
    })
}
