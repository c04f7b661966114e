//! Orphans: locks in which nobody believes. S6 and L3 ask how long they last.
//!
//! An orphan begins when the belief in its grant ends, or with its authority if user code was never given the grant.
//! It may last a TTL from there, or from the last time something lengthened it that its client may still do:
//!
//! - an `attempt` for it (idempotent retries while user code waits);
//! - a `renew` that began before the orphan, or while the client's user code was waiting for this very attempt (R8);
//! - the late effect of such a call: as many as were not answered when the orphan began, and one more (a lease that
//!   the client keeps alive by itself).
//!
//! Renewing an orphan on and on is what this finds.

use super::Tolerance;
use super::history::{Authority, Call, History};
use crate::trace::CallKind;

pub(super) struct Orphan<'a, 'h> {
    pub(super) authority: &'h Authority<'a>,
    pub(super) from_ns: u64,
    pub(super) ttl_ns: u64,
    /// When it should have ended, without any tolerance.
    pub(super) due_ns: u64,
    pub(super) overdue: bool,
}

/// All orphans whose TTL is known. With `floor_ns` all that happened before that time is excused: an orphan begins there
/// at the earliest.
pub(super) fn orphans<'a, 'h>(
    history: &'h History<'a>,
    tolerance: &Tolerance,
    floor_ns: u64,
) -> Vec<Orphan<'a, 'h>> {
    let look = |authority| orphan(history, tolerance, floor_ns, authority);
    history.authorities.iter().filter_map(look).collect()
}

fn orphan<'a, 'h>(
    history: &'h History<'a>,
    tolerance: &Tolerance,
    floor_ns: u64,
    authority: &'h Authority<'a>,
) -> Option<Orphan<'a, 'h>> {
    let attempt = authority.attempt?;
    let beliefs = history.beliefs_of(authority.name, attempt, authority.token);
    let believed_until = beliefs.iter().map(|belief| belief.span.to).max();
    let from_ns = believed_until
        .unwrap_or(0)
        .max(authority.span.from)
        .max(floor_ns);
    if from_ns >= authority.span.to {
        return None;
    }
    let calls: Vec<&Call> = history
        .operations
        .of_attempt(authority.name, attempt)
        .collect();
    let ttls = calls.iter().filter_map(|call| call.ttl_ns);
    let ttl_ns = ttls
        .chain(beliefs.iter().map(|belief| belief.ttl_ns))
        .max()?;
    let lengthens = |call: &&&Call| match call.kind {
        CallKind::Attempt => true,
        CallKind::Renew => {
            call.t_ns <= from_ns || history.waits(call.node, call.name, attempt, call.t_ns)
        }
        _ => false,
    };
    let by_calls: Vec<&&Call> = calls.iter().filter(lengthens).collect();
    let last_call = by_calls.iter().map(|call| call.t_ns).max();
    let late = by_calls
        .iter()
        .filter(|call| {
            call.t_ns <= from_ns && call.answer.is_none_or(|answer| answer.t_ns > from_ns)
        })
        .count();
    let effects = authority
        .moves
        .iter()
        .filter(|moved| moved.by.is_some() && moved.t_ns > from_ns);
    let last_effect = effects.map(|moved| moved.t_ns).take(late + 1).last();
    let lengthened = last_call
        .max(last_effect)
        .filter(|t_ns| *t_ns < authority.span.to);
    let due_ns = from_ns.max(lengthened.unwrap_or(0)).saturating_add(ttl_ns);
    let allowed = due_ns
        .saturating_add(ttl_ns / 50)
        .saturating_add(tolerance.orphan_ns);
    Some(Orphan {
        authority,
        from_ns,
        ttl_ns,
        due_ns,
        overdue: authority.span.to > allowed,
    })
}
