//! Ground truth, not linearizability: a trace goes in, a [`Report`] comes out.
//!
//! Pure: no clock, no I/O (but [`check_file`]), no randomness. Each property has a file of its own, which says
//! precisely what it asks and what puts it to the test; all are built on one view of the trace (`history`).

mod finding;
mod history;
mod intervals;
mod l1_granted_or_told;
mod l2_no_lost_wakeup;
mod l3_orphans_end;
mod l4_fairness;
mod orphans;
mod property;
mod report;
mod s1_believed_exclusion;
mod s2_authority_exclusion;
mod s3_no_stale_effect;
mod s4_tokens_rise;
mod s5_own_grant_only;
mod s6_no_phantom;
mod s7_deadline_before_expiry;
mod s8_loss_noticed;
mod tolerance;

use std::path::Path;

pub use intervals::{Interval, IntervalKind, intervals};
pub use property::Property;
pub use report::{PropertyResult, Report, Violation};
pub use tolerance::Tolerance;

use crate::trace::{Event, Header, Trace, TraceError};
use history::History;

/// Checks a trace, whose events may be in any order.
pub fn check(header: &Header, events: &[Event]) -> Report {
    check_with(header, events, &Tolerance::default())
}

/// Checks a trace that is not exact.
pub fn check_with(header: &Header, events: &[Event], tolerance: &Tolerance) -> Report {
    let history = History::new(header, events);
    let properties = vec![
        s1_believed_exclusion::check(&history),
        s2_authority_exclusion::check(&history),
        s3_no_stale_effect::check(&history),
        s4_tokens_rise::check(&history),
        s5_own_grant_only::check(&history),
        s6_no_phantom::check(&history, tolerance),
        s7_deadline_before_expiry::check(&history, tolerance),
        s8_loss_noticed::check(&history, tolerance),
        l1_granted_or_told::check(&history),
        l2_no_lost_wakeup::check(&history, tolerance),
        l3_orphans_end::check(&history, tolerance),
        l4_fairness::check(&history, tolerance),
    ];
    Report::new(header, properties)
}

/// Checks a file that [`Trace::save`] wrote.
pub fn check_file(path: impl AsRef<Path>) -> Result<Report, TraceError> {
    let trace = Trace::load(path)?;
    Ok(check(&trace.header, &trace.events))
}
