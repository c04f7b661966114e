use dlock_sim::checker::Property::S1;
use dlock_sim::trace::Verdict;

use super::story::{Story, good, ms};

#[test]
fn one_after_the_other_is_valid() {
    good().holds(S1);
    assert_eq!(good().report().verdict, Verdict::Valid);
}

#[test]
fn two_believers_are_a_violation_at_the_second_grant() {
    let mut story = Story::new();
    story.at(0).acquire("c1", 1);
    story.at(0).granted("c1", 1, 33);
    story.at(100).acquire("c2", 2);
    let second = story.at(4500).granted("c2", 2, 34);
    story.at(5000).belief_ends("c2", 2, 34);
    story.at(30_000).end();
    let words = [
        "c2 was given invoice (token 34) at 4.500 s while c1 believed in it (token 33, from 0.000 s to 10.000 s)",
        "both believed for 0.500 s",
    ];
    story.breaks(S1, second, &words);
}

/// The deadline ends belief whether the client looks or not, on its own clock.
#[test]
fn belief_ends_at_the_deadline_of_the_holders_own_clock() {
    let with_rate = |rate_ppb| {
        let mut story = Story::new();
        story.at(0).clock("c1", 500_000, rate_ppb);
        story.at(0).acquire("c1", 1);
        story.at(0).granted_until("c1", 1, 33, ms(510_000));
        story.at(50).acquire("c2", 2);
        story.at(10_000).granted("c2", 2, 34);
        story.at(60_000).end();
        story
    };
    with_rate(0).holds(S1);
    with_rate(10_000_000).holds(S1);
    assert_eq!(
        with_rate(-10_000_000).verdict(S1),
        Verdict::Invalid,
        "its clock is slow"
    );
    assert_eq!(
        with_rate(-1_000_000_000).verdict(S1),
        Verdict::Invalid,
        "its clock stands"
    );
}

#[test]
fn a_moved_deadline_and_a_crash_count() {
    let mut story = Story::new();
    story.at(0).acquire("c1", 1);
    story.at(0).granted("c1", 1, 33);
    story.at(9000).deadline_moved("c1", 1, 33, ms(19_000));
    story.at(9500).acquire("c2", 2);
    let mut crashed = Story::new();
    crashed.events.clone_from(&story.events);
    crashed.at(11_000).process("c1", "crashed");
    for story in [&mut story, &mut crashed] {
        story.at(12_000).granted("c2", 2, 34);
        story.at(60_000).end();
    }
    assert_eq!(story.verdict(S1), Verdict::Invalid);
    crashed.holds(S1);
}

/// A renewal that moves the deadline after it has passed brings the belief back: seen, not excused.
#[test]
fn belief_that_comes_back_after_its_deadline_counts() {
    let mut story = Story::new();
    story.at(0).acquire("c1", 1);
    story.at(0).granted("c1", 1, 33);
    story.at(9500).acquire("c2", 2);
    story.at(11_000).granted("c2", 2, 34);
    let back = story.at(12_000).deadline_moved("c1", 1, 33, ms(22_000));
    story.at(60_000).end();
    story.breaks(
        S1,
        back,
        &["c1 was given invoice (token 33) at 12.000 s while c2 believed"],
    );
}

#[test]
fn nobody_contended() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(1000).releases("c1", 1, 33);
    story.at(2000).takes("c2", 2, 34);
    story.at(3000).releases("c2", 2, 34);
    story.unknown(S1);
    assert_eq!(story.report().verdict, Verdict::Unknown);
}
