//! S1: believed intervals of one lock do not overlap.
//!
//! Half-open intervals of true time: one may begin at the instant at which the other ends. A pause does not break
//! this; it makes acting intervals overlap, and breaks S3. Put to the test by every acquisition that waited or tried
//! while somebody else believed.

use std::collections::BTreeMap;

use super::finding::{At, Finding};
use super::history::{Acquire, Belief, History, Span, Timeline};
use super::{Property, PropertyResult};
use crate::words::Seconds;

pub(super) fn check(history: &History<'_>) -> PropertyResult {
    let mut finding = Finding::new(Property::S1);
    let mut acquires: BTreeMap<&str, Vec<&Acquire>> = BTreeMap::new();
    for acquire in &history.operations.acquires {
        acquires.entry(acquire.name).or_default().push(acquire);
    }
    for (name, beliefs) in history.beliefs_by_name() {
        overlaps(&mut finding, &beliefs);
        let timeline = Timeline::new(beliefs.iter().map(|belief| belief.span));
        for acquire in acquires.get(name).into_iter().flatten() {
            let mut others = timeline.touching(acquire.span());
            if others.any(|index| beliefs[index].op != acquire.op) {
                finding.exercise();
            }
        }
    }
    finding.finish("nobody asked for a lock while somebody else believed in it")
}

/// Each interval against the one before it that ends last.
fn overlaps(finding: &mut Finding, beliefs: &[&Belief<'_>]) {
    let mut last: Option<&Belief> = None;
    for belief in beliefs.iter().filter(|belief| !belief.span.is_empty()) {
        if let Some(other) = last.filter(|other| other.span.overlaps(belief.span)) {
            report(finding, other, belief);
        }
        if last.is_none_or(|other| other.span.to < belief.span.to) {
            last = Some(belief);
        }
    }
}

fn report(finding: &mut Finding, first: &Belief<'_>, second: &Belief<'_>) {
    let Span { from, to } = second.span;
    let message = format!(
        "{} was given {} (token {}) at {} while {} believed in it (token {}, from {} to {}): both believed for {}",
        second.node,
        second.name,
        second.token,
        Seconds(from),
        first.node,
        first.token,
        Seconds(first.span.from),
        Seconds(first.span.to),
        Seconds(first.span.to.min(to) - from),
    );
    let at = At {
        seq: second.seq,
        t_ns: from,
        with: &[first.seq],
        name: Some(second.name),
        nodes: &[first.node, second.node],
    };
    finding.violate(at, message);
}
