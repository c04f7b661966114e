use super::parts::Actor;
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "gc-pause",
    title: "C1 is paused for longer than its TTL between its check and its write; C2 acquires and writes; C1 resumes and writes",
    section: Section::Caveat,
    lesson: "A lock with a lease ends by itself, so that a client that died does not block the others for ever. \
             The price: a client that is only slow cannot be told from a dead one. Here C1 looks whether it holds the lock, \
             is stopped by its garbage collector, and writes when it wakes up, long after C2 got the lock. No lock service \
             can prevent that; the storage can, if each write shows the token of its grant and older tokens are refused.",
    source: "Martin Kleppmann, How to do distributed locking (2016), after an HBase bug",
    stores: &["redis", "etcd"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S3],
            outcome: parts::stale_write_accepted,
        },
        Take {
            way: Way::Fenced,
            violates: &[],
            outcome: parts::stale_write_refused,
        },
    ],
    ttl_ms: 2000,
    clients: 2,
    active_ms: 10_000,
    faults,
    job,
    instead: parts::the_real_store,
};

fn faults() -> Vec<Fault> {
    let pause = FaultKind::PauseAt {
        node: "c1".to_owned(),
        point: "between-check-and-write".to_owned(),
        visit: 1,
    };
    vec![fault(0, 6000, pause)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
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
