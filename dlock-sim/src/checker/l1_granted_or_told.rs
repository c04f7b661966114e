//! L1: everybody who asks is granted or told within the bound.
//!
//! Once the faults are over (see `healed`; from the beginning in a trace without any) every acquisition that is
//! outstanding or begins ends within `liveness_bound_ns` of the header: granted, not granted, or abandoned. Those of a
//! machine outside the healed core, or whose process does not run all that time, are not judged. Put to the test by
//! every acquisition that is judged; unknown if the trace ends before the bound of one that is still outstanding.

use super::finding::{At, Finding};
use super::history::{Acquire, History, How, Span};
use super::{Property, PropertyResult};
use crate::words::Seconds;

pub(super) const NOT_HEALED: &str = "the faults were not over before the trace ended";

pub(super) fn check(history: &History<'_>) -> PropertyResult {
    let Some(healed) = history.machines.healed() else {
        return Finding::unknown(Property::L1, NOT_HEALED);
    };
    let Some(bound_ns) = history.header.liveness_bound_ns else {
        return Finding::unknown(Property::L1, "the trace names no bound");
    };
    let mut finding = Finding::new(Property::L1);
    for acquire in &history.operations.acquires {
        let span = acquire.span();
        let crashed = acquire.end.is_some_and(|end| end.how == How::Crashed);
        if span.to <= healed.at_ns || crashed || !healed.concerns(acquire.node) {
            continue;
        }
        let from = span.from.max(healed.at_ns);
        let limit = from.saturating_add(bound_ns);
        let to = limit.min(span.to);
        if !history.machines.runs(acquire.node, Span { from, to }) {
            continue;
        }
        if span.to > limit && history.end_ns > limit {
            finding.exercise();
            report(history, &mut finding, acquire, from, bound_ns);
        } else if acquire.end.is_none() {
            finding.undecided("the trace ends while somebody still waits, before the bound");
        } else {
            finding.exercise();
        }
    }
    finding.finish("nobody asked for a lock once the faults were over")
}

fn report(
    history: &History<'_>,
    finding: &mut Finding,
    acquire: &Acquire<'_>,
    from: u64,
    bound_ns: u64,
) {
    let ended = match acquire.end {
        Some(end) => format!("had to wait until {}", Seconds(end.t_ns)),
        None => format!(
            "still waited when the trace ended at {}",
            Seconds(history.end_ns)
        ),
    };
    let message = format!(
        "{} asked for {} at {} and {ended}: it should have been granted or told within {} of {}",
        acquire.node,
        acquire.name,
        Seconds(acquire.t_ns),
        Seconds(bound_ns),
        Seconds(from),
    );
    let end = acquire.end.map(|end| end.seq);
    let at = At {
        seq: acquire.seq,
        t_ns: acquire.t_ns,
        with: end.as_slice(),
        name: Some(acquire.name),
        nodes: &[acquire.node],
    };
    finding.violate(at, message);
}
