use std::sync::Arc;
use std::time::Duration;

use super::evidence::{Evidence, OwnedBy, span};
use super::parts::{Actor, hand_written, simple_turn};
use super::{JobFuture, Scenario, Section, Take, Way, fault};
use crate::SimRedis;
use crate::broken::client::simple::Simple;
use crate::broken::store::plain_redis::Flaw;
use crate::broken::store::twice::Twice;
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;
use crate::trace::AuthorityEnd;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "late-duplicate-acquire",
    title: "C1's acquire is delivered twice; between the two deliveries its lease ends, and C2 comes and goes; then C1's renewal arrives",
    section: Section::Bug,
    lesson: "Something between a client and its lock may send a request again, and the copy may arrive much later. \
             Here the copy of C1's acquire finds the lock free, after C2 had it, and gets it. \
             If a renewal only compares whose the lock is, C1's renewals succeed again, and C1 never learns that C2 was there in between. \
             So a grant is a pair: the id of the attempt and the token of this very grant, and a renewal must show both.",
    source: "found in a review of this design",
    stores: &["redis"],
    takes: &[
        Take {
            way: Way::Naive,
            violates: &[Property::S3, Property::S7],
            // S7: it believes again, in a grant that ended before C2 came.
            outcome: continued,
        },
        Take {
            way: Way::Ours,
            violates: &[],
            outcome: lost,
        },
    ],
    ttl_ms: 3000,
    clients: 2,
    active_ms: 8000,
    faults,
    job,
    instead,
};

/// The same network for both.
fn instead(way: Way) -> Option<Arc<dyn SimStore>> {
    let store: Arc<dyn SimStore> = match way {
        Way::Naive => hand_written(Flaw::RenewsById),
        _ => Arc::new(SimRedis::single()),
    };
    Some(Arc::new(Twice {
        store,
        node: "c1",
        after: Duration::from_millis(4850),
    }))
}

/// C1's second renewal is held up until after the copy; later ones are lost until shortly before it.
fn faults() -> Vec<Fault> {
    let stuck = FaultKind::StuckConnections {
        client: "c1".to_owned(),
        server: "redis-1".to_owned(),
    };
    let cut = FaultKind::Partition {
        a: "c1".to_owned(),
        b: "redis-1".to_owned(),
    };
    vec![fault(1500, 4500, stuck), fault(2300, 2700, cut)]
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        let simple = Simple::new(&actor.client);
        match (actor.client.number(), way) {
            (1, Way::Naive) => {
                simple_turn(&actor, &simple.renewing().believing_again(), 200, 6500).await;
            }
            (_, Way::Naive) => simple_turn(&actor, &simple, 3000, 4700).await,
            (1, _) => actor.long_turn(200, 6500).await,
            _ => actor.long_turn(3000, 4700).await,
        }
    })
}

/// What the copy was granted, after C2 had come and gone.
fn granted_again<'a>(evidence: &Evidence<'a>) -> Result<OwnedBy<'a>, String> {
    let grants = evidence.grants("c1");
    let first = grants.first().ok_or("C1 was not granted the lock")?;
    let mut owners = evidence.owners().into_iter();
    let again = owners
        .find(|owner| owner.attempt == Some(first.attempt) && owner.token > Some(first.token));
    let again = again.ok_or("the copy was not granted the lock")?;
    let (left, _) = *evidence
        .ends("c2")
        .first()
        .ok_or("C2 did not have the lock")?;
    match again.from_ns > left {
        true => Ok(again),
        false => Err("the copy arrived before C2 was done".to_owned()),
    }
}

fn continued(evidence: &Evidence<'_>) -> Result<String, String> {
    granted_again(evidence)?;
    let writes = evidence.writes();
    let [.., before, last] = &writes[..] else {
        return Err("there were no two writes".to_owned());
    };
    if (before.by, last.by) != ("c2", "c1") || last.token > before.token {
        return Err("C1 did not write over what C2 had written".to_owned());
    }
    Ok(format!(
        "C1's renewals succeeded again after C2 had been there: {} after C2, C1 wrote over it with its older token {}.",
        span(last.t_ns - before.t_ns),
        evidence.token(last.token)
    ))
}

fn lost(evidence: &Evidence<'_>) -> Result<String, String> {
    let again = granted_again(evidence)?;
    let (told, how) = *evidence.ends("c1").first().ok_or("C1 was told nothing")?;
    if how == "released" || evidence.writes().iter().any(|write| write.by == "c1") {
        return Err("C1 believed that it had the lock all the time".to_owned());
    }
    let ttl_ns = 3_000_000_000;
    let lasted = match again.end {
        Some((ended, AuthorityEnd::Expired, _)) => ended - again.from_ns,
        _ => return Err("what the copy was granted did not end by itself".to_owned()),
    };
    if lasted.abs_diff(ttl_ns) > 5_000_000 {
        return Err(format!(
            "what the copy was granted lasted {} instead of the TTL",
            span(lasted)
        ));
    }
    Ok(format!(
        "C1 knew of its loss {} before the copy was granted the lock; its old renewal did not fit that grant, which ended by itself after {}.",
        span(again.from_ns - told),
        span(lasted)
    ))
}
