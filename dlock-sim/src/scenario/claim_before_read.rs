use dlock_core::Guard;
use serde_json::json;

use super::evidence::{Evidence, span};
use super::parts::{self, Actor};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::checker::Property;
use crate::client::{ResourceError, SimClient};
use crate::faults::{Fault, FaultKind};
use crate::trace::{Kind, StorageAccess};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "claim-before-read",
    title: "C1 and C2 each add one to a number; C1 is stopped before its write; the fence hears of C2 only when C2 writes",
    section: Section::Caveat,
    lesson: "A fence refuses tokens that are older than the newest it has seen, so it matters when a client shows its token. \
             If that is only when it writes, a newer client may have read already, and the fence knows nothing of it: \
             it accepts the write of the older client, and the newer one, who did not see that write, writes over it. \
             One of the two updates is lost, although every write showed a token. \
             So a client has to show its token, to claim, before it reads: from then on nobody older gets in.",
    source: "Flavio Junqueira, Note on fencing and distributed locks (2016), in answer to Martin Kleppmann",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S3],
            outcome: lost_update,
        },
        Take {
            way: Way::Fenced,
            violates: &[],
            outcome: both_counted,
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
    vec![fault(0, 3500, pause)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => {
                actor.at(200).await;
                // Who was refused starts over.
                while let Err(ResourceError::Stale { .. }) = add_one(&actor, way, 0).await {}
            }
            _ => {
                actor.at(1000).await;
                let _ = add_one(&actor, way, 5500).await;
            }
        }
    })
}

/// Reads a number, thinks until a time, and writes the next.
async fn add_one(actor: &Actor, way: Way, until_ms: u64) -> Result<(), ResourceError> {
    let Some(guard) = actor.acquire().await else {
        return Ok(());
    };
    let old = match way {
        Way::Naive => actor.data.read_unfenced().await?,
        _ => actor.data.claim(&guard).await?,
    };
    actor.at(until_ms).await;
    let mut written = Ok(());
    if guard.check().is_ok() {
        actor.client.safe_point("between-check-and-write").await;
        written = write(actor, way, &guard, old.as_u64().unwrap_or(0) + 1).await;
    }
    let _ = guard.release().await;
    written
}

async fn write(actor: &Actor, way: Way, guard: &Guard, value: u64) -> Result<(), ResourceError> {
    if way == Way::Naive {
        // The fence hears of this token here, and not before.
        actor.data.claim(guard).await?;
    }
    actor.data.write(guard, json!(value)).await
}

/// What the accepted writes left behind.
fn last_value(evidence: &Evidence<'_>) -> Option<u64> {
    let mut written = evidence
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            Kind::Storage {
                access: StorageAccess::Write,
                accepted: true,
                value,
                ..
            } => value.as_u64(),
            _ => None,
        });
    written.next_back()
}

fn lost_update(evidence: &Evidence<'_>) -> Result<String, String> {
    let writes = evidence.writes();
    let [first, second] = &writes[..] else {
        return Err(format!("{} writes were accepted, not two", writes.len()));
    };
    let value = last_value(evidence);
    if (first.by, second.by, value) != ("c1", "c2", Some(1)) {
        return Err(format!("no update was lost: the number is {value:?}"));
    }
    Ok(format!(
        "C1's token {} was accepted, because the fence had not seen C2's {} yet; {} later C2 wrote over it, and after two additions the number is 1.",
        evidence.token(first.token),
        evidence.token(second.token),
        span(second.t_ns - first.t_ns),
    ))
}

fn both_counted(evidence: &Evidence<'_>) -> Result<String, String> {
    let refused = evidence.refused();
    let [refused] = &refused[..] else {
        return Err(format!("{} accesses were refused, not one", refused.len()));
    };
    let value = last_value(evidence);
    if value != Some(2) {
        return Err(format!("after two additions the number is {value:?}"));
    }
    let last = evidence.writes().pop().ok_or("nobody wrote")?;
    Ok(format!(
        "Storage rejected C1's token {}, for C2 had claimed with {} before it read; C1 started over, added its one {} later, and the number is 2.",
        evidence.token(refused.token),
        evidence.token(refused.newest),
        span(last.t_ns - refused.t_ns),
    ))
}
