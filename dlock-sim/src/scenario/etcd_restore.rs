use super::evidence::{Evidence, span};
use super::parts::{Actor, upper};
use super::{JobFuture, Scenario, Section, Take, Way, fault, parts};
use crate::checker::Property;
use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "etcd-restore",
    title: "the cluster is restored from a snapshot: revisions go back, locks granted since are gone, tokens repeat",
    section: Section::Caveat,
    lesson: "etcd numbers its changes, and these numbers serve as tokens: newer grants have higher ones. \
             If the cluster is restored from a backup, it counts on from the number of the backup, so numbers that were given out are given out again; and whoever got a lock since then believes in it, though etcd has forgotten it. \
             Storage that checks tokens stays safe: it refuses the new holder, whose token is too low. \
             But it goes on refusing until that is repaired, so restore with etcdutl's option --bump-revision, or set the fence anew once all clients have been restarted.",
    source: "etcd's manual, Disaster recovery: restoring with --bump-revision and --mark-compacted",
    stores: &["etcd"],
    takes: &[
        Take {
            way: Way::Unfenced,
            violates: &[Property::S1, Property::S3, Property::S4, Property::S7],
            outcome: token_repeats,
        },
        Take {
            way: Way::Fenced,
            violates: &[Property::S1, Property::S4, Property::S7],
            outcome: safe_but_stuck,
        },
    ],
    ttl_ms: 10_000,
    clients: 2,
    active_ms: 10_000,
    faults,
    job,
    instead: parts::the_real_store,
};

fn faults() -> Vec<Fault> {
    vec![fault(500, 3000, FaultKind::Restore)]
        .into_iter()
        .chain(parts::cut_off_from_etcd("c1", 3400, 3500))
        .collect()
}

fn job(client: SimClient, way: Way) -> JobFuture {
    Box::pin(async move {
        let actor = Actor::new(client, way);
        match actor.client.number() {
            1 => {
                actor.one_turn(1000).await;
                actor.one_turn(2000).await;
                actor.long_turn(2500, 6000).await;
            }
            _ => actor.long_turn(3600, 5500).await,
        }
    })
}

fn token_repeats(evidence: &Evidence<'_>) -> Result<String, String> {
    let (before, after) = (evidence.grants("c1"), evidence.grants("c2"));
    let after = after.first().ok_or("C2 did not get the lock")?;
    let same = before.iter().find(|grant| grant.token == after.token);
    let same = same.ok_or("no token was given out again")?;
    let (first, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    Ok(format!(
        "Token {} was C1's, and {} later C2's; {} and {} both believed that they held the lock, for {}.",
        evidence.token(Some(after.token)),
        span(after.t_ns - same.t_ns),
        upper(first),
        upper(second),
        span(ns),
    ))
}

fn safe_but_stuck(evidence: &Evidence<'_>) -> Result<String, String> {
    let refused = evidence.refused();
    let accepted = evidence.writes();
    let stale = refused.first().ok_or("the fence refused nothing")?;
    if refused.iter().any(|access| access.by != "c2") {
        return Err("the fence refused the former holder".to_owned());
    }
    if accepted.iter().any(|write| write.by == "c2") {
        return Err("the fence let the new holder in".to_owned());
    }
    let last = accepted.last().ok_or("nobody wrote")?;
    Ok(format!(
        "Storage rejected whatever C2 tried ({} times), the new holder, for its token is {} and {} had claimed; C1 wrote with {} and nothing is lost, but no new holder gets in until that is repaired.",
        refused.len(),
        evidence.token(stale.token),
        evidence.token(stale.newest),
        evidence.token(last.token),
    ))
}
