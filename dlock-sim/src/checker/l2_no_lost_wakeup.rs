//! L2: a free lock with a waiter is granted.
//!
//! Once the faults are over, no lock is free, in the eyes of all servers, for longer than
//! [`Tolerance::lost_wakeup_ns`] while the same acquisition waits for it all that time (not one that only tries) on a
//! machine that runs and is in the healed core. A machine that faults concerned has [`Tolerance::reconnect_ns`] after
//! the last of them to find connections that live. Put to the test by every acquisition that waited after the faults
//! while the lock was somebody's.

use std::collections::BTreeMap;

use super::finding::{At, Finding};
use super::history::{Acquire, History, Span, Timeline, without};
use super::l1_granted_or_told::NOT_HEALED;
use super::{Property, PropertyResult, Tolerance};
use crate::trace::Kind;
use crate::words::Seconds;

pub(super) fn check(history: &History<'_>, tolerance: &Tolerance) -> PropertyResult {
    if !history.has_authority() {
        return Finding::unknown(Property::L2, "the trace does not say what the servers said");
    }
    let Some(healed) = history.machines.healed() else {
        return Finding::unknown(Property::L2, NOT_HEALED);
    };
    let mut finding = Finding::new(Property::L2);
    let mut locks = BTreeMap::new();
    for (name, authorities) in history.authorities_by_name() {
        let spans: Vec<Span> = authorities.iter().map(|authority| authority.span).collect();
        locks.insert(name, (Timeline::new(spans.iter().copied()), spans));
    }
    for acquire in &history.operations.acquires {
        if acquire.trying || !healed.concerns(acquire.node) {
            continue;
        }
        let settled = history
            .machines
            .settled(&healed, acquire.node, tolerance.reconnect_ns);
        let waits = Span {
            from: acquire.span().from.max(settled),
            to: acquire.span().to.min(history.end_ns),
        };
        if waits.is_empty() {
            continue;
        }
        let mut held: Vec<Span> = Vec::new();
        if let Some((timeline, spans)) = locks.get(acquire.name) {
            held.extend(timeline.touching(waits).map(|index| spans[index]));
            held.reverse();
        }
        if !held.is_empty() {
            finding.exercise();
        }
        let free = without(waits, held.into_iter());
        let running = |part| history.machines.running(acquire.node, part);
        let mut free = free.into_iter().flat_map(running);
        if let Some(lost) = free.find(|part| part.to - part.from > tolerance.lost_wakeup_ns) {
            report(history, &mut finding, acquire, lost);
        }
    }
    finding.finish("nobody waited for a lock once the faults were over")
}

fn report(history: &History<'_>, finding: &mut Finding, acquire: &Acquire<'_>, lost: Span) {
    let (seq, t_ns) = began(history, acquire, lost);

    let message = format!(
        "{} was free from {} to {}, while {} waited for it since {}",
        acquire.name,
        Seconds(lost.from),
        Seconds(lost.to),
        acquire.node,
        Seconds(acquire.t_ns),
    );
    let at = At {
        seq,
        t_ns,
        with: &[acquire.seq],
        name: Some(acquire.name),
        nodes: &[acquire.node],
    };
    finding.violate(at, message);
}

/// The event with which the lost time began: what freed the lock, if that was then, else the first one from then on.
fn began(history: &History<'_>, acquire: &Acquire<'_>, lost: Span) -> (u64, u64) {
    let first = history
        .events
        .partition_point(|event| event.t_ns < lost.from);
    let since = &history.events[first..];
    let at_once = since.iter().take_while(|event| event.t_ns == lost.from);
    let freed = at_once.copied().find(
        |event| matches!(&event.kind, Kind::AuthorityEnds { name, .. } if name == acquire.name),
    );
    let event = freed.or_else(|| since.first().copied());
    event.map_or((acquire.seq, lost.from), |event| (event.seq, event.t_ns))
}
