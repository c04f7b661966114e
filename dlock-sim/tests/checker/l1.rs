use dlock_sim::checker::Property::L1;
use dlock_sim::trace::Verdict;

use super::story::{Story, good};

#[test]
fn granted_or_told_in_time_is_valid() {
    good().holds(L1);
    let mut story = Story::new();
    story.at(0).fault(0, "partition", "c1");
    story.at(0).acquire("c1", 1);
    story.at(50_000).fault_ends(0);
    story.at(50_000).healed();
    story.at(69_000).not_granted("c1", 1);
    story.at(80_000).end();
    story.holds(L1);
}

#[test]
fn a_waiter_that_is_forgotten_is_a_violation() {
    let mut story = Story::new();
    story.at(0).fault(0, "partition", "c1");
    let asks = story.at(100).acquire("c1", 1);
    story.at(50_000).healed();
    story.at(70_001).end();
    let words = [
        "c1 asked for invoice at 0.100 s and still waited when the trace ended at 70.001 s",
        "within 20.000 s of 50.000 s",
    ];
    story.breaks(L1, asks, &words);
}

#[test]
fn told_too_late_is_a_violation() {
    let mut story = Story::new();
    let asks = story.at(0).acquire("c1", 1);
    story.at(20_001).not_granted("c1", 1);
    story.breaks(L1, asks, &["had to wait until 20.001 s"]);
}

#[test]
fn a_trace_that_is_too_short_does_not_tell() {
    let mut story = good();
    story.at(55_000).acquire("c3", 9);
    story.unknown(L1);
    let mut unhealed = good();
    unhealed.at(59_000).fault(0, "freeze", "s");
    unhealed.unknown(L1);
    let mut unbounded = good();
    unbounded.header.liveness_bound_ns = None;
    unbounded.unknown(L1);
}

/// A dead process asks for nothing, and a stopped one cannot be told.
#[test]
fn who_does_not_run_is_not_judged() {
    let mut story = Story::new();
    story.at(0).acquire("c1", 1);
    story.at(5).process("c1", "crashed");
    story.at(10).acquire("c2", 2);
    story.at(20).process("c2", "paused");
    story.at(30).healed();
    story.at(60_000).end();
    story.unknown(L1);
    story.at(70_000).process("c2", "resumed");
    assert_eq!(story.verdict(L1), Verdict::Unknown);
}

/// The healing of a world in which nothing went wrong changes nothing.
#[test]
fn without_faults_all_of_the_trace_counts() {
    let mut story = Story::new();
    let asks = story.at(0).acquire("c1", 1);
    story.at(25_000).not_granted("c1", 1);
    story.at(30_000).healed();
    story.breaks(L1, asks, &["had to wait until 25.000 s"]);
}
