//! S8: a running, connected holder notices an early loss in time.
//!
//! A loss is early when authority ends before it was due, not by a release of the holder itself, and no server says
//! again within the time that the same grant owns the lock. The holder may then believe for `loss_notice_ns` of the
//! header and [`Tolerance::loss_notice_ns`]; without `loss_notice_ns` until a renewal that began after the end is
//! answered (and the tolerance), or its deadline.
//!
//! Only holders that ran all that time are judged, and only when they were surely connected: then, and
//! [`Tolerance::reconnect_ns`] before, no fault was active (but those that only take keys away) and no machine stopped
//! or started; what names only other clients does not count. Put to the test by every early loss that is judged.

use super::finding::{At, Finding};
use super::history::{Authority, Belief, History, Span};
use super::{Property, PropertyResult, Tolerance};
use crate::trace::{CallKind, Outcome};
use crate::words::Seconds;

pub(super) fn check(history: &History<'_>, tolerance: &Tolerance) -> PropertyResult {
    if !history.has_authority() {
        return Finding::unknown(Property::S8, "the trace does not say what the servers said");
    }
    let mut finding = Finding::new(Property::S8);
    for authority in &history.authorities {
        let Some(ended_ns) = ended_early(history, authority) else {
            continue;
        };
        let Some(attempt) = authority.attempt else {
            continue;
        };
        for belief in history.beliefs_of(authority.name, attempt, authority.token) {
            let from = ended_ns.max(belief.span.from);
            if belief.span.to <= ended_ns || belief.span.is_empty() {
                continue;
            }
            if let Some(limit) = limit(history, tolerance, belief, from) {
                judge(
                    history,
                    tolerance,
                    &mut finding,
                    authority,
                    belief,
                    Span { from, to: limit },
                );
            }
        }
    }
    finding.finish("no running, connected holder lost a lock early")
}

/// When authority ended, if that was early and no release of its own holder.
fn ended_early(history: &History<'_>, authority: &Authority<'_>) -> Option<u64> {
    let end = authority.end?;
    let early = authority.until_ns.is_none_or(|until| end.t_ns < until);
    let released = |by: &str| {
        let attempt = authority.attempt?;
        let mut calls = history.operations.of_attempt(authority.name, attempt);
        calls
            .find(|call| call.kind == CallKind::Release && call.node == by && call.t_ns <= end.t_ns)
    };
    (early && end.by.and_then(released).is_none()).then_some(end.t_ns)
}

/// Until when it may still believe.
fn limit(
    history: &History<'_>,
    tolerance: &Tolerance,
    belief: &Belief<'_>,
    from_ns: u64,
) -> Option<u64> {
    let told = match history.header.loss_notice_ns {
        Some(delta) => from_ns.saturating_add(delta),
        None => {
            let mut calls = history.operations.of_attempt(belief.name, belief.attempt);
            calls.find_map(|call| {
                let answer = call.answer?;
                let tells = matches!(answer.outcome, Outcome::Renewed | Outcome::NotOwner);
                let renews = call.kind == CallKind::Renew && call.t_ns >= from_ns;
                (tells && renews).then_some(answer.t_ns)
            })?
        }
    };
    Some(told.saturating_add(tolerance.loss_notice_ns))
}

fn judge(
    history: &History<'_>,
    tolerance: &Tolerance,
    finding: &mut Finding,
    authority: &Authority<'_>,
    belief: &Belief<'_>,
    time: Span,
) {
    let with_approach = Span {
        from: time.from.saturating_sub(tolerance.reconnect_ns),
        to: time.to,
    };
    if time.to > history.end_ns
        || !history.machines.connected(belief.node, with_approach)
        || !history.machines.runs(belief.node, time)
    {
        return;
    }
    let again = |other: &Authority<'_>| {
        let same = (other.name, other.grant()) == (authority.name, authority.grant());
        same && other.seq != authority.seq
            && other.span.from <= time.to
            && other.span.to > time.from
    };
    if history.authorities.iter().any(again) {
        return;
    }
    finding.exercise();
    if belief.span.to <= time.to {
        return;
    }
    let message = format!(
        "{} went on believing in {} (token {}) until {}, though {} had let it end at {}: it should have known by {}",
        belief.node,
        belief.name,
        belief.token,
        Seconds(belief.span.to),
        authority.server,
        Seconds(authority.span.to),
        Seconds(time.to),
    );
    let at = At {
        seq: authority.last_seq(),
        t_ns: authority.span.to,
        with: &[belief.seq],
        name: Some(belief.name),
        nodes: &[belief.node, authority.server],
    };
    finding.violate(at, message);
}
