//! S5: nobody ends, shortens or extends another's lock.
//!
//! When a request of a client (`by`) ends or moves an authority interval, a call of that client for that very attempt
//! must explain it: an `attempt`, `renew` or `release` with the same token, if it has one, that began before. A call
//! may take effect at any time from its beginning on: late arrivals count. An end is also explained by a
//! `force_release` of that client. Foreign holders may end what they began. A machine without a locker (an operator,
//! another library) promises nothing and is not judged. And whoever renews never makes the end come earlier
//! than a client's request had set it (R6); what a server had added by itself (a new leader) may go again.
//!
//! Put to the test by every end or move by a client's request on a lock for which two attempts were made.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{At, Finding};
use super::history::{Authority, History};
use super::{Property, PropertyResult};
use crate::trace::{AuthorityEnd, CallKind, Outcome};
use crate::words::Seconds;

pub(super) fn check(history: &History<'_>) -> PropertyResult {
    if !history.has_authority() {
        return Finding::unknown(Property::S5, "the trace does not say what the servers said");
    }
    if history.operations.calls.is_empty() {
        return Finding::unknown(
            Property::S5,
            "the trace does not say what the clients asked of the store",
        );
    }
    let mut finding = Finding::new(Property::S5);
    let contended = contended(history);
    for authority in &history.authorities {
        for change in changes(history, authority) {
            let Some(by) = change.by.filter(|by| history.operations.has_locker(by)) else {
                continue;
            };
            if contended.contains(authority.name) {
                finding.exercise();
            }
            let explained = explained(history, authority, &change, by);
            if !explained || change.shortens {
                report(history, &mut finding, authority, &change, by, explained);
            }
        }
    }
    finding.finish("no client's request ended or moved a lock that two had asked for")
}

/// Somebody's request did something to an authority interval.
struct Change<'a> {
    t_ns: u64,
    seq: u64,
    by: Option<&'a str>,
    ends: bool,
    shortens: bool,
    did: &'static str,
}

fn changes<'a>(history: &History<'_>, authority: &Authority<'a>) -> Vec<Change<'a>> {
    let never = u64::MAX;
    // What a client's renewal has set: a server that lengthens leases by itself (a new etcd leader, also that of an
    // attempt that waits) promises nobody that it stays so.
    let mut asked_for = given(history, authority);
    let moves = authority.moves.iter().map(|moved| {
        let until = moved.until_ns.unwrap_or(never);
        let shortens = asked_for.is_some_and(|asked_for| until < asked_for);
        if moved.by.is_some() {
            asked_for = Some(until);
        }
        Change {
            t_ns: moved.t_ns,
            seq: moved.seq,
            by: moved.by,
            ends: false,
            shortens,
            did: if shortens { "shortened" } else { "extended" },
        }
    });
    let moves: Vec<Change> = moves.collect();
    let end = authority.end.map(|end| Change {
        t_ns: end.t_ns,
        seq: end.seq,
        by: end.by,
        ends: true,
        shortens: false,
        did: match end.why {
            AuthorityEnd::Replaced => "took over",
            _ => "ended",
        },
    });
    moves.into_iter().chain(end).collect()
}

/// Until when the request that was granted had asked for it, if a client's was: never more than what it got.
fn given(history: &History<'_>, authority: &Authority<'_>) -> Option<u64> {
    let (first, attempt, _) = (authority.first_until_ns?, authority.attempt?, authority.by?);
    let calls = history.operations.of_attempt(authority.name, attempt);
    let asked =
        calls.filter(|call| call.kind == CallKind::Attempt && call.t_ns <= authority.span.from);
    let ttl_ns = asked.filter_map(|call| call.ttl_ns).min()?;
    Some(first.min(authority.span.from.saturating_add(ttl_ns)))
}

fn explained(
    history: &History<'_>,
    authority: &Authority<'_>,
    change: &Change<'_>,
    by: &str,
) -> bool {
    let begun = |t_ns: u64| t_ns <= change.t_ns;
    let mut forced = history.operations.forced(authority.name, by);
    if change.ends && forced.any(|call| begun(call.t_ns)) {
        return true;
    }
    let Some(attempt) = authority.attempt else {
        return authority.by == Some(by);
    };
    history
        .operations
        .of_attempt(authority.name, attempt)
        .any(|call| {
            let same_token = match (call.token, authority.token) {
                (Some(called), Some(has)) => called == has,
                _ => true,
            };
            let granted = call.answer.is_some_and(|answer| {
                answer.t_ns <= change.t_ns && answer.outcome == Outcome::Granted
            });
            let acts = match call.kind {
                // What was granted ends by no question for it.
                CallKind::Attempt => !change.ends || !granted,
                CallKind::Renew => !change.ends,
                CallKind::Release => true,
                _ => false,
            };
            acts && same_token && call.node == by && begun(call.t_ns)
        })
}

fn report(
    history: &History<'_>,
    finding: &mut Finding,
    authority: &Authority<'_>,
    change: &Change<'_>,
    by: &str,
    explained: bool,
) {
    let (did, name, t) = (change.did, authority.name, Seconds(change.t_ns));
    let owner = history.owner(authority);
    let holder = history.holder(authority);
    let message = if explained {
        format!("a renewal of {by} {did} its own {name} at {t}: {holder} had it for longer")
    } else {
        format!(
            "{by} {did} the lock of {holder} on {name} at {t}, and had asked for nothing of the kind on its behalf"
        )
    };
    let mut nodes = vec![by, authority.server];
    nodes.extend(owner);
    let at = At {
        seq: change.seq,
        t_ns: change.t_ns,
        with: &[authority.seq],
        name: Some(name),
        nodes: &nodes,
    };
    finding.violate(at, message);
}

/// Locks for which two attempts were made.
fn contended<'a>(history: &History<'a>) -> BTreeSet<&'a str> {
    let mut attempts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for call in &history.operations.calls {
        attempts.entry(call.name).or_default().extend(call.attempt);
    }
    attempts.retain(|_, attempts| attempts.len() > 1);
    attempts.into_keys().collect()
}
