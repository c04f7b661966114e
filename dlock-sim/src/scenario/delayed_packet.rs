use std::time::Duration;

use super::evidence::{Evidence, span};
use super::parts::{self, Actor};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "delayed-packet",
    title: "C1's write is held up in the network until its lease is over and C2 has written",
    section: Section::Caveat,
    lesson: "C1 writes while it surely holds the lock, and nothing is wrong with its process or its clock. \
             The network keeps the message for some seconds; meanwhile the lease ends, and the next holder does its work. \
             Then the old message arrives and overwrites it. \
             No check at the sender could have prevented that; only the storage sees in which order the writes come, and can refuse one that shows an older token.",
    source: "Martin Kleppmann, How to do distributed locking (2016)",
    stores: &["redis", "etcd"],
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
    active_ms: 8000,
    faults,
    job,
    instead: parts::the_real_store,
};

/// When C1 writes.
const WRITE: u64 = 1500;

fn faults() -> Vec<Fault> {
    let hold = FaultKind::Hold {
        a: "c1".to_owned(),
        b: "storage".to_owned(),
    };
    vec![fault(1000, 5000, hold)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let mut actor = Actor::new(client, way);
        if actor.client.number() != 1 {
            return actor.one_turn(2000).await;
        }
        actor.data = actor.data.patience(Duration::from_secs(8));
        actor.at(200).await;
        // Enough for one write.
        let Ok(guard) = actor.lock().auto_renew(false).acquire().await else {
            return;
        };
        actor.read(&guard).await;
        actor.at(WRITE).await;
        if guard.check().is_ok() {
            actor.client.note(SENT);
            actor.write(&guard).await;
        }
        let _ = guard.release().await;
    })
}

const SENT: &str = "C1 sends its write";

/// How long the write was under way, and for how long the lease had ended when it arrived.
fn travelled(evidence: &Evidence<'_>, accepted: bool) -> Result<(u64, u64), String> {
    let sent = evidence.noted(SENT);
    let sent = sent.first().ok_or("C1 did not write")?;
    let writes = evidence.accesses();
    let late = writes
        .iter()
        .find(|access| access.by == "c1" && access.t_ns > *sent && access.accepted == accepted)
        .ok_or("C1's write did not arrive so")?;
    if !evidence
        .writes()
        .iter()
        .any(|write| write.by == "c2" && write.seq < late.seq)
    {
        return Err("C2 had not written before".to_owned());
    }
    let ended = late.attempt.and_then(|of| evidence.authority_ended(of));
    let (ended, _) = ended.ok_or("C1's lease did not end")?;
    match ended <= late.t_ns {
        true => Ok((late.t_ns - sent, late.t_ns - ended)),
        false => Err("C1's lease had not ended yet".to_owned()),
    }
}

fn accepted(evidence: &Evidence<'_>) -> Result<String, String> {
    let (travelled, late) = travelled(evidence, true)?;
    Ok(format!(
        "C1's write was under way for {}, and arrived {} after its lease had ended; storage took it, and what C2 wrote is lost.",
        span(travelled),
        span(late)
    ))
}

fn refused(evidence: &Evidence<'_>) -> Result<String, String> {
    let (travelled, late) = travelled(evidence, false)?;
    let refused = evidence.refused();
    let refused = refused.first().ok_or("the fence refused nothing")?;
    Ok(format!(
        "C1's write was under way for {}, and arrived {} after its lease had ended; storage rejected its token {}, because {} had claimed.",
        span(travelled),
        span(late),
        evidence.token(refused.token),
        evidence.token(refused.newest),
    ))
}
