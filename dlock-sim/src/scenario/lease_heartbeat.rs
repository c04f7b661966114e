use super::evidence::{Evidence, span};
use super::parts::Actor;
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "lease-heartbeat",
    title: "one long operation keeps C1 from renewing; its lease ends; C2 acquires; C1 learns of it too late, and writes",
    section: Section::Caveat,
    lesson: "A lock on etcd lives as long as its lease, and a background task renews that with a heartbeat. \
             If the program does one long thing without a break, a huge sort or a blocking call in the wrong place, the task gets no turn, and the heartbeat stops. \
             etcd takes the client for dead and gives the lock to the next. \
             The client can learn of it only when the operation is over, too late if it writes its result at once. \
             So break up long work and look at the lock before each write; and for what happens between the look and the write, let the storage check the token.",
    source: "a caveat in the README of node-distributed-lock: pauses and long synchronous operations interrupt the heartbeat of an etcd lease",
    stores: &["etcd"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S3],
            outcome: accepted,
        },
        Take {
            way: Way::Fenced,
            violates: &[],
            outcome: refused,
        },
    ],
    ttl_ms: 3000,
    clients: 2,
    active_ms: 12_000,
    faults,
    job,
    instead: parts::the_real_store,
};

const OPERATION: &str = "one-long-operation-takes-its-only-thread";

/// All else of the process stands still while the operation runs.
fn faults() -> Vec<Fault> {
    let operation = FaultKind::PauseAt {
        node: "c1".to_owned(),
        point: OPERATION.to_owned(),
        visit: 1,
    };
    vec![fault(0, 7000, operation)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        if actor.client.number() != 1 {
            return actor.long_turn(1500, 6500).await;
        }
        actor.at(200).await;
        let Some(guard) = actor.acquire().await else {
            return;
        };
        actor.read(&guard).await;
        actor.client.note(BEGINS);
        actor.client.safe_point(OPERATION).await;
        actor.client.note(IS_OVER);
        // It does not look again: what would it do with the answer, now that the work is done?
        actor.write(&guard).await;
        let _ = guard.release().await;
    })
}

const BEGINS: &str = "C1 begins a long operation, in one go: until it is over, nothing else of its program gets a turn";
const IS_OVER: &str =
    "C1's long operation is over; it writes the result without a look at its lock";

fn accepted(evidence: &Evidence<'_>) -> Result<String, String> {
    told_too_late(evidence, parts::stale_write_accepted(evidence)?)
}

fn refused(evidence: &Evidence<'_>) -> Result<String, String> {
    told_too_late(evidence, parts::stale_write_refused(evidence)?)
}

/// Its clock told it, after the operation and before the write was there.
fn told_too_late(evidence: &Evidence<'_>, wrote: String) -> Result<String, String> {
    let [begins, over] = [BEGINS, IS_OVER].map(|text| evidence.noted(text).first().copied());
    let (begins, over) = begins.zip(over).ok_or("C1 had no long operation")?;
    let ends = evidence.ends("c1");
    let &(told, how) = ends.first().ok_or("C1 was not told of its loss")?;
    let last = evidence.accesses();
    let last = last.iter().rfind(|access| access.by == "c1");
    let written = last.ok_or("C1 did not write")?.t_ns;
    if how != "expired" || !(over..=written).contains(&told) {
        return Err(format!("C1 was told `{how}` at {}", span(told)));
    }
    Ok(format!(
        "C1's clock told it of its loss only after its operation of {}; {wrote}",
        span(over - begins)
    ))
}
