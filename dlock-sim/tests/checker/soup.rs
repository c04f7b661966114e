use dlock_sim::checker::{Property, check, intervals};
use dlock_sim::trace::Verdict;
use proptest::prelude::*;

use super::story::Story;
use super::strategy::events;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is in a trace, the checker says something about every property, the same each time, in any order of
    /// the lines, and never panics.
    #[test]
    fn any_soup_of_events_is_judged(
        events in events(),
        fairness in prop::sample::select(vec!["by_attempt", "by_participant", "none", "?"]),
        loss_notice_ns in prop::option::of(0..20_u64),
        bound in prop::option::of(0..20_u64),
    ) {
        let mut header = Story::new().header;
        header.fairness = fairness.to_owned();
        header.loss_notice_ns = loss_notice_ns;
        header.liveness_bound_ns = bound;
        let report = check(&header, &events);
        let judged: Vec<Property> = report.properties.iter().map(|result| result.property).collect();
        prop_assert_eq!(judged, Property::ALL);
        for result in &report.properties {
            prop_assert_eq!(result.verdict == Verdict::Invalid, !result.violations.is_empty());
            prop_assert_eq!(result.verdict == Verdict::Unknown, result.why_unknown.is_some());
            for violation in &result.violations {
                prop_assert!(violation.events.contains(&violation.at));
            }
        }
        for interval in intervals(&header, &events) {
            prop_assert!(interval.from_ns <= interval.to_ns);
        }
        let _ = report.to_string();
        prop_assert_eq!(&report, &check(&header, &events));
    }
}
