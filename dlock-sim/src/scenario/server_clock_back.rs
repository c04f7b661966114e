use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "server-clock-back",
    title: "the clock of the Redis server steps back: the lock of a client that died outlives its TTL",
    stores: &["redis"],
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
    let step = FaultKind::ClockStep {
        node: "redis-1".to_owned(),
        by_ms: -6000,
    };
    vec![fault(500, 8000, death), fault(1000, 0, step)]
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
