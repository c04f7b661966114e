use super::parts::Actor;
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "server-clock-forward",
    title: "the clock of the Redis server steps forward past the end of the lease; C2 acquires",
    section: Section::Witness,
    lesson: "A Redis server notes the time of its own clock at which a lock ends. \
             If that clock is set forward past it, the lock ends at once, although its holder has counted a few seconds only. \
             The holder hears of it at its next renewal; until then two clients believe that they hold the lock. \
             Without a fence the older one overwrites what the newer one did. \
             Let the server's clock be slewed slowly instead of stepped.",
    source: "the Redis documentation on expiry: keys live by the server's wall clock",
    stores: &["redis"],
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
    ttl_ms: 10000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
    instead: parts::the_real_store,
};

fn faults() -> Vec<Fault> {
    let step = FaultKind::ClockStep {
        node: "redis-1".to_owned(),
        by_ms: 15_000,
    };
    vec![fault(1000, 0, step)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => actor.long_turn(200, 3000).await,
            _ => actor.long_turn(1500, 2500).await,
        }
    })
}
