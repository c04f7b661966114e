use super::parts::Actor;
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "vm-pause",
    title: "the hypervisor pauses C1, and none of its clocks counts that: it believes in a lease that ended long ago",
    section: Section::Caveat,
    lesson: "A virtual machine can be stopped from outside: for a migration, for a snapshot, or because its host is overloaded. \
             All of its clocks stop with it, so that a client in it cannot know that any time has passed. \
             It believes in its lease, and looking at the clock before each write does not help: the clock says that all is well. \
             Here nothing in the client can help, and only storage that refuses older tokens keeps the data right.",
    source: "known of live migration and restored snapshots; a step further than a suspended machine, which one of the guest's clocks counts",
    stores: &["redis", "etcd"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S1, Property::S3, Property::S7],
            outcome: parts::stale_write_accepted,
        },
        Take {
            way: Way::Fenced,
            violates: &[Property::S1, Property::S7],
            outcome: parts::stale_write_refused,
        },
    ],
    ttl_ms: 3000,
    clients: 2,
    active_ms: 12_000,
    faults,
    job,
    instead: parts::the_real_store,
};

fn faults() -> Vec<Fault> {
    let pause = FaultKind::VmPause {
        node: "c1".to_owned(),
    };
    vec![fault(500, 7000, pause)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        if actor.client.number() != 1 {
            return actor.long_turn(1000, 7000).await;
        }
        actor.at(200).await;
        let Some(guard) = actor.acquire().await else {
            return;
        };
        actor.read(&guard).await;
        // A moment of work, during which the machine stands still.
        let work = std::time::Duration::from_millis(400);
        actor.client.sleep(work).await;
        // It looked before, and a moment is not long.
        actor.write(&guard).await;
        let _ = guard.release().await;
    })
}
