use dlock_sim::checker::Property::L2;
use dlock_sim::trace::{AuthorityEnd, Verdict};

use super::story::{Story, good};

#[test]
fn handed_on_in_time_is_valid() {
    good().holds(L2);
}

/// `missed-wakeup`: the second one learns of the release a TTL later.
#[test]
fn a_lost_wakeup_is_a_violation() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    let waits = story.at(100).queues("c2", 2);
    let freed = story.at(1000).releases("c1", 1, 33);
    story.at(9000).gets("c2", 2, 34);
    story.at(9500).releases("c2", 2, 34);
    story.at(60_000).end();
    story.breaks(
        L2,
        freed,
        &["invoice was free from 1.000 s to 9.000 s, while c2 waited for it since 0.100 s"],
    );
    let report = story.report();
    let violation = &report.of(L2).unwrap().violations[0];
    assert_eq!(violation.t_ns, 1_000_000_000);
    assert!(violation.events.contains(&waits));
}

/// Nothing freed it then: the time counts from the end of the faults on.
#[test]
fn a_wakeup_lost_before_the_faults_were_over_begins_with_their_end() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    let waits = story.at(100).queues("c2", 2);
    story.at(200).fault(0, "partition", "c3");
    story.at(300).releases("c1", 1, 33);
    let over = story.at(1000).fault_ends(0);
    story.at(1000).healed();
    story.at(9000).gets("c2", 2, 34);
    story.at(60_000).end();
    story.breaks(L2, over, &["invoice was free from 1.000 s to 9.000 s"]);
    let report = story.report();
    let violation = &report.of(L2).unwrap().violations[0];
    assert!(violation.events.contains(&waits));
}

/// Somebody else in between is no lost wakeup.
#[test]
fn only_free_time_counts() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(100).queues("c2", 2);
    story.at(1000).releases("c1", 1, 33);
    story.at(3000).takes("c3", 3, 34);
    story.at(4000).releases("c3", 3, 34);
    story.at(6000).gets("c2", 2, 35);
    story.at(7000).releases("c2", 2, 35);
    story.at(60_000).end();
    story.holds(L2);
}

/// Connections that died without a word are found out by and by.
#[test]
fn whom_faults_concerned_has_time_to_connect_again() {
    let free_until = |end: u64, hit: &str| {
        let mut story = Story::new();
        story.at(0).takes("c1", 1, 33);
        story.at(100).queues("c2", 2);
        story.at(500).fault(0, "partition", hit);
        story.at(600).fault_ends(0);
        story.at(600).healed();
        story.at(1000).releases("c1", 1, 33);
        story.at(end).gets("c2", 2, 34);
        story.at(end + 500).releases("c2", 2, 34);
        story.at(60_000).end();
        story.verdict(L2)
    };
    assert_ne!(free_until(8500, "c2"), Verdict::Invalid);
    assert_eq!(free_until(8700, "c2"), Verdict::Invalid);
    assert_ne!(free_until(3900, "c3"), Verdict::Invalid);
    assert_eq!(free_until(4100, "c3"), Verdict::Invalid);
    // It concerned everybody.
    assert_ne!(free_until(8500, "s"), Verdict::Invalid);
}

#[test]
fn before_the_faults_are_over_nothing_counts() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(100).queues("c2", 2);
    story.at(500).fault(0, "partition", "c2");
    story
        .at(1000)
        .authority_ends("s", 1, 33, AuthorityEnd::Dropped, None);
    story.at(20_000).fault_ends(0);
    story.unknown(L2);
    story.at(20_000).healed();
    story.at(21_000).gets("c2", 2, 34);
    story.at(60_000).end();
    assert_ne!(story.verdict(L2), Verdict::Invalid);
}
