use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "gc-pause",
    title: "C1 is paused for longer than its TTL between its check and its write; C2 acquires and writes; C1 resumes and writes",
    stores: &["redis", "etcd"],
    unfenced: &[Property::S3],
    fenced: &[],
    refuses: true,
    ttl_ms: 2000,
    clients: 2,
    active_ms: 10_000,
    faults,
    job,
};

fn faults() -> Vec<Fault> {
    let pause = FaultKind::PauseAt {
        node: "c1".to_owned(),
        point: "between-check-and-write".to_owned(),
        visit: 1,
    };
    vec![fault(0, 6000, pause)]
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
        if guard.check().is_ok() {
            actor.client.safe_point("between-check-and-write").await;
            actor.write(&guard).await;
        }
        let _ = guard.release().await;
    })
}
