//! L3: orphans of the faults are gone after their TTL.
//!
//! As S6 asks, with everything excused that happened before the faults were over: an orphan of theirs may last a TTL
//! from there. Put to the test by every orphan that was there after the faults.

use super::finding::Finding;
use super::history::History;
use super::l1_granted_or_told::NOT_HEALED;
use super::orphans::orphans;
use super::s6_no_phantom::overdue;
use super::{Property, PropertyResult, Tolerance};

pub(super) fn check(history: &History<'_>, tolerance: &Tolerance) -> PropertyResult {
    if !history.has_authority() {
        return Finding::unknown(Property::L3, "the trace does not say what the servers said");
    }
    let Some(healed) = history.machines.healed() else {
        return Finding::unknown(Property::L3, NOT_HEALED);
    };
    let mut finding = Finding::new(Property::L3);
    for orphan in orphans(history, tolerance, healed.at_ns) {
        finding.exercise();
        if orphan.overdue {
            overdue(history, &mut finding, &orphan);
        }
    }
    finding.finish("there was no orphan once the faults were over")
}
