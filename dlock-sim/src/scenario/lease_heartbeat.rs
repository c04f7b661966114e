use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "lease-heartbeat",
    title: "C1's keepalive is blocked by a long synchronous operation; its lease ends; C2 acquires; C1 goes on",
    stores: &["etcd"],
    unfenced: &[Property::S3],
    fenced: &[],
    refuses: true,
    ttl_ms: 3000,
    clients: 2,
    active_ms: 12_000,
    faults,
    job,
};

/// The whole process stands still while the operation runs: nothing else gets its thread.
fn faults() -> Vec<Fault> {
    let operation = FaultKind::PauseAt {
        node: "c1".to_owned(),
        point: "long-operation".to_owned(),
        visit: 1,
    };
    vec![fault(0, 7000, operation)]
}

fn job(client: SimClient, fencing: Fencing) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, fencing);
        if actor.client.number() != 1 {
            return actor.one_turn(1500).await;
        }
        actor.at(200).await;
        let Some(guard) = actor.acquire().await else {
            return;
        };
        actor.read(&guard).await;
        actor.client.safe_point("long-operation").await;
        // It does not look again: what would it do with the answer, now that the work is done?
        actor.write(&guard).await;
        let _ = guard.release().await;
    })
}
