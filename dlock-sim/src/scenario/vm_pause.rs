use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "vm-pause",
    title: "the hypervisor pauses C1, and none of its clocks counts that: it believes in a lease that ended long ago",
    stores: &["redis", "etcd"],
    unfenced: &[Property::S1, Property::S3, Property::S7],
    fenced: &[Property::S1, Property::S7],
    refuses: true,
    ttl_ms: 3000,
    clients: 2,
    active_ms: 12000,
    faults,
    job,
};

fn faults() -> Vec<Fault> {
    let pause = FaultKind::VmPause {
        node: "c1".to_owned(),
    };
    vec![fault(500, 7000, pause)]
}

fn job(client: SimClient, fencing: Fencing) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, fencing);
        if actor.client.number() != 1 {
            return actor.one_turn(1000).await;
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
