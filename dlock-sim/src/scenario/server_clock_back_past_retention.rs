use super::parts::Actor;
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "server-clock-back-past-retention",
    title: "the clock of the Redis server runs so far ahead that the counter expires, then steps back below it: tokens fall",
    section: Section::Witness,
    lesson: "The counter that makes tokens rise is kept for seven days after a lock's last use, so that a server does not fill up with the counters of forgotten locks. \
             When it is gone, the server's clock takes its place, and that is enough as long as the clock goes forward. \
             Here the clock runs ahead by more than seven days, so that the counter ends too early, and then steps back below where it was. \
             The next token is lower than the last one, and a fence refuses its holder: safe, but nobody can work until the clock has caught up.",
    source: "an exception that dlock-redis declares",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S3, Property::S4],
            outcome: parts::lower_token_accepted,
        },
        Take {
            way: Way::Fenced,
            violates: &[Property::S4],
            outcome: parts::lower_token_refused,
        },
    ],
    ttl_ms: 2000,
    clients: 2,
    active_ms: 6000,
    faults,
    job,
    instead: parts::the_real_store,
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

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => actor.one_turn(200).await,
            _ => actor.one_turn(2500).await,
        }
    })
}
