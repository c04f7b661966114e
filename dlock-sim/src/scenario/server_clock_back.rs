use super::evidence::{Evidence, span};
use super::parts::{self, Actor};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "server-clock-back",
    title: "the clock of the Redis server steps back, twice: C2's token rises nevertheless, and when C2 dies, its lock outlives its TTL",
    section: Section::Caveat,
    lesson: "A Redis server notes the time of its own clock at which a lock ends. \
             If that clock is set back, by an operator or because it was wrong before, that time is further away than the TTL says. \
             Nobody gets the lock who should not have it, but everybody waits longer for the lock of a client that died. \
             Tokens rise all the same, for a counter orders them, not the clock. \
             Let the server's clock be slewed slowly instead of stepped.",
    source: "the Redis documentation on expiry: keys live by the server's wall clock",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S6],
            outcome: waited_longer,
        },
        Take {
            way: Way::Fenced,
            violates: &[Property::S6],
            outcome: waited_longer,
        },
    ],
    ttl_ms: 2000,
    clients: 3,
    active_ms: 10_000,
    faults,
    job,
    instead: parts::the_real_store,
};

/// When C2 dies.
const DEATH: u64 = 4000;

fn faults() -> Vec<Fault> {
    let death = FaultKind::Kill {
        node: "c2".to_owned(),
    };
    let step = FaultKind::ClockStep {
        node: "redis-1".to_owned(),
        by_ms: -4000,
    };
    vec![
        fault(1000, 0, step.clone()),
        fault(DEATH, 6000, death),
        fault(4500, 0, step),
    ]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => actor.long_turn(200, 1500).await,
            // Started anew, it has forgotten what it wanted.
            2 if actor.is_past(DEATH) => {}
            // Killed with it in its hands.
            2 => actor.long_turn(700, 6000).await,
            _ => actor.one_turn(3500).await,
        }
    })
}

fn waited_longer(evidence: &Evidence<'_>) -> Result<String, String> {
    let granted = ["c1", "c2", "c3"].map(|node| evidence.grants(node));
    let [Some(first), Some(second), Some(third)] = granted.each_ref().map(|grants| grants.first())
    else {
        return Err("not everybody got the lock".to_owned());
    };
    if !(first.token < second.token && second.token < third.token) {
        return Err("tokens fell".to_owned());
    }
    if evidence.overlap().is_some() || !evidence.refused().is_empty() {
        return Err("the clock did more than to let C3 wait".to_owned());
    }
    let waited = third.t_ns - DEATH * 1_000_000;
    if waited < 4_000_000_000 {
        return Err(format!("C3 waited for {} only", span(waited)));
    }
    Ok(format!(
        "C2 died with a lock of 2.0 s, and C3 got it {} later. Tokens rose all the same: {}, {}, {}.",
        span(waited),
        evidence.token(Some(first.token)),
        evidence.token(Some(second.token)),
        evidence.token(Some(third.token)),
    ))
}
