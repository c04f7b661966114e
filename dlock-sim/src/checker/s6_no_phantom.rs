//! S6: every lock belongs to somebody, an orphan for at most its TTL.
//!
//! The attempt of every authority interval was asked for by some locker before (foreign holders have none, and are
//! passed over). A grant that has ended on a server does not begin there again by a client's request: that would be a
//! renewal that brings back the dead (R6). A lock in which nobody believes ends at most a TTL, and the tolerance, after the last thing that may
//! lengthen it: see `orphans`. A foreign clock step or a new leader's extension is no such thing. Put to the test by
//! every authority interval with an attempt.

use super::finding::{At, Finding};
use super::history::{Authority, History, short};
use super::orphans::{Orphan, orphans};
use super::{Property, PropertyResult, Tolerance};
use crate::trace::CallKind;
use crate::words::Seconds;

pub(super) fn check(history: &History<'_>, tolerance: &Tolerance) -> PropertyResult {
    if !history.has_authority() {
        return Finding::unknown(Property::S6, "the trace does not say what the servers said");
    }
    if history.operations.calls.is_empty() {
        return Finding::unknown(
            Property::S6,
            "the trace does not say what the clients asked of the store",
        );
    }
    let mut finding = Finding::new(Property::S6);
    for authority in &history.authorities {
        if let Some(attempt) = authority.attempt {
            finding.exercise();
            let mut calls = history.operations.of_attempt(authority.name, attempt);
            let asked = |t_ns| t_ns <= authority.span.from;
            if !calls.any(|call| call.kind == CallKind::Attempt && asked(call.t_ns)) {
                phantom(&mut finding, authority, attempt);
            }
        }
    }
    for of_grant in history.authorities_by_grant().values() {
        for pair in of_grant.windows(2) {
            back_again(history, &mut finding, pair[0], pair[1]);
        }
    }
    for orphan in orphans(history, tolerance, 0) {
        if orphan.overdue {
            overdue(history, &mut finding, &orphan);
        }
    }
    finding.finish("no server said that a lock is anybody's")
}

fn phantom(finding: &mut Finding, authority: &Authority<'_>, attempt: &str) {
    let message = format!(
        "{} said from {} on that {} belongs to attempt {}, but no client had asked on its behalf",
        authority.server,
        Seconds(authority.span.from),
        authority.name,
        short(attempt),
    );
    let at = At {
        seq: authority.seq,
        t_ns: authority.span.from,
        with: &[],
        name: Some(authority.name),
        nodes: &[authority.server],
    };
    finding.violate(at, message);
}

fn back_again(
    history: &History<'_>,
    finding: &mut Finding,
    before: &Authority<'_>,
    again: &Authority<'_>,
) {
    let (Some(by), Some(end), Some(_)) = (again.by, before.end, again.token) else {
        return;
    };
    if before.server != again.server || again.attempt.is_none() {
        return;
    }
    let message = format!(
        "{by} brought back the lock of {} on {} at {}, though {} had let it end at {}",
        history.holder(again),
        again.name,
        Seconds(again.span.from),
        again.server,
        Seconds(end.t_ns),
    );
    let at = At {
        seq: again.seq,
        t_ns: again.span.from,
        with: &[end.seq],
        name: Some(again.name),
        nodes: &[again.server, by],
    };
    finding.violate(at, message);
}

/// Also what L3 says.
pub(super) fn overdue(history: &History<'_>, finding: &mut Finding, orphan: &Orphan<'_, '_>) {
    let authority = orphan.authority;
    let message = format!(
        "nobody believed in the lock of {} on {} from {} on; with a TTL of {} it was due to end by {}, but {} kept it until {}",
        history.holder(authority),
        authority.name,
        Seconds(orphan.from_ns),
        Seconds(orphan.ttl_ns),
        Seconds(orphan.due_ns),
        authority.server,
        Seconds(authority.span.to),
    );
    let mut nodes = vec![authority.server];
    nodes.extend(history.owner(authority));
    // Seen at its end; of one that never ended, when it was due.
    let due = history
        .events
        .partition_point(|event| event.t_ns < orphan.due_ns);
    let (seq, t_ns) = match (&authority.end, history.events.get(due)) {
        (None, Some(event)) => (event.seq, event.t_ns),
        (end, _) => {
            let t_ns = end.as_ref().map_or(authority.span.from, |end| end.t_ns);
            (authority.last_seq(), t_ns)
        }
    };
    let at = At {
        seq,
        t_ns,
        with: &[authority.seq],
        name: Some(authority.name),
        nodes: &nodes,
    };
    finding.violate(at, message);
}
