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
use super::words::Seconds;
use super::{Property, PropertyResult, Tolerance};

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
            report(&mut finding, acquire, lost);
        }
    }
    finding.finish("nobody waited for a lock once the faults were over")
}

fn report(finding: &mut Finding, acquire: &Acquire<'_>, lost: Span) {
    let message = format!(
        "{} was free from {} to {}, while {} waited for it since {}",
        acquire.name,
        Seconds(lost.from),
        Seconds(lost.to),
        acquire.node,
        Seconds(acquire.t_ns),
    );
    let at = At {
        seq: acquire.seq,
        t_ns: lost.from,
        with: &[],
        name: Some(acquire.name),
        nodes: &[acquire.node],
    };
    finding.violate(at, message);
}
