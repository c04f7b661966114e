use super::parts::Actor;
use super::{Fencing, JobFuture, Scenario, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "server-clock-back-past-retention",
    title: "the clock of the Redis server runs so far ahead that the counter expires, then steps back below it: tokens fall",
    stores: &["redis"],
    unfenced: &[Property::S4],
    fenced: &[Property::S4],
    refuses: true,
    ttl_ms: 2000,
    clients: 2,
    active_ms: 6000,
    faults,
    job,
};

fn faults() -> Vec<Fault> {
    const DAY: i64 = 24 * 3_600_000;
    let step = |by_ms| FaultKind::ClockStep {
        node: "redis-1".to_owned(),
        by_ms,
    };
    // The counter is kept for seven days.
    vec![
        fault(1000, 0, step(8 * DAY)),
        fault(1500, 0, step(-9 * DAY)),
    ]
}

fn job(client: SimClient, fencing: Fencing) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, fencing);
        match actor.client.number() {
            1 => actor.one_turn(200).await,
            _ => actor.one_turn(2500).await,
        }
    })
}
