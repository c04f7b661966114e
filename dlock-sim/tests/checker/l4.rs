use dlock_sim::checker::Property::L4;
use dlock_sim::trace::{CallKind, Outcome, Verdict};

use super::story::{Story, good};

/// c1 holds; the others queue, each in its turn: (machine, attempt). Then they are granted in this order.
fn queue(fairness: &str, queued: &[(&str, u64)], granted: &[u64]) -> Story {
    let mut story = Story::new();
    story.header.fairness = fairness.to_owned();
    story.at(0).takes("c1", 1, 33);
    for (place, (node, number)) in (1..).zip(queued) {
        story.at(100 * place).queues(node, *number);
    }
    story.at(2000).releases("c1", 1, 33);
    for (turn, number) in (0..).zip(granted) {
        let (node, _) = queued.iter().find(|(_, other)| other == number).unwrap();
        story.at(3000 + turn * 1000).gets(node, *number, 34 + turn);
        story
            .at(3500 + turn * 1000)
            .releases(node, *number, 34 + turn);
    }
    story.at(60_000).end();
    story
}

#[test]
fn first_in_first_out_is_valid_by_attempt() {
    let queued = [("c2", 2), ("c3", 3), ("c2", 4)];
    queue("by_attempt", &queued, &[2, 3, 4]).holds(L4);
}

#[test]
fn an_attempt_that_is_passed_over_is_a_violation() {
    let queued = [("c2", 2), ("c3", 3)];
    let story = queue("by_attempt", &queued, &[3, 2]);
    let granted = granted(&story, 3);
    let words = [
        "c3 asked for invoice at 0.200 s and was granted it at 3.000 s (token 34), while an attempt of c2 had waited for it since 0.100 s",
    ];
    story.breaks(L4, granted, &words);
    assert_eq!(
        queue("none", &queued, &[3, 2]).verdict(L4),
        Verdict::Unknown
    );
}

/// Who takes without waiting, while somebody waits.
#[test]
fn barging_is_a_violation() {
    for fairness in ["by_attempt", "by_participant"] {
        let mut story = queue(fairness, &[("c2", 2)], &[2]);
        story.at(2100).asks("c3", 9, true);
        story.at(2100).call("c3", 19, CallKind::Attempt, 9, None);
        story.at(2200).authority_begins("s", 9, 33_000, 12_000);
        story
            .at(2200)
            .answer("c3", 19, Outcome::Granted, Some(33_000));
        story.at(2200).granted("c3", 9, 33_000);
        story.at(2300).releases("c3", 9, 33_000);
        assert_eq!(story.verdict(L4), Verdict::Invalid, "{}", story.report());
    }
}

/// The order is sure only for who was told to wait before the other asked.
#[test]
fn attempts_that_queued_together_are_not_compared() {
    let mut story = Story::new();
    story.header.fairness = "by_attempt".to_owned();
    story.at(0).takes("c1", 1, 33);
    story.at(100).acquire("c2", 2);
    story.at(100).call("c2", 12, CallKind::Attempt, 2, None);
    story.at(150).queues("c3", 3);
    story.at(200).answer("c2", 12, Outcome::Busy, None);
    story.at(2000).releases("c1", 1, 33);
    story.at(3000).gets("c3", 3, 34);
    story.at(4000).releases("c3", 3, 34);
    story.at(5000).gets("c2", 2, 35);
    story.at(60_000).end();
    story.unknown(L4);
}

#[test]
fn turns_by_participant() {
    // Both of c2's attempts were there first, but each participant gets one grant a turn.
    let queued = [("c2", 2), ("c2", 4), ("c3", 3)];
    queue("by_participant", &queued, &[2, 3, 4]).holds(L4);
    assert_eq!(
        queue("by_attempt", &queued, &[2, 3, 4]).verdict(L4),
        Verdict::Invalid
    );
}

#[test]
fn two_turns_in_a_row_are_a_violation_by_participant() {
    let queued = [("c2", 2), ("c3", 3), ("c2", 4)];
    let story = queue("by_participant", &queued, &[2, 4, 3]);
    let again = granted(&story, 4);
    let words = [
        "c2 was granted invoice at 3.000 s and again at 4.000 s, and c3, which had waited for it since 0.200 s, not once in between",
    ];
    story.breaks(L4, again, &words);
}

#[test]
fn within_a_participant_the_first_comes_first() {
    let queued = [("c2", 2), ("c2", 4)];
    let story = queue("by_participant", &queued, &[4, 2]);
    story.breaks(
        L4,
        granted(&story, 4),
        &["while an attempt of c2 had waited for it since 0.100 s"],
    );
}

/// A frozen head may be passed over, and whoever gave up is not owed a turn.
#[test]
fn who_does_not_run_or_gave_up_is_passed_over() {
    let queued = [("c2", 2), ("c3", 3)];
    for fairness in ["by_attempt", "by_participant"] {
        let mut frozen = queue(fairness, &queued, &[3, 2]);
        frozen.at(2500).process("c2", "paused");
        frozen.at(3500).process("c2", "resumed");
        frozen.at(3600).healed();
        assert_ne!(frozen.verdict(L4), Verdict::Invalid, "{}", frozen.report());
        let mut gave_up = queue(fairness, &queued, &[3]);
        gave_up.at(2500).not_granted("c2", 2);
        gave_up.at(2500).call("c2", 32, CallKind::Release, 2, None);
        assert_ne!(
            gave_up.verdict(L4),
            Verdict::Invalid,
            "{}",
            gave_up.report()
        );
    }
}

/// Who is woken over a connection that has died misses its turn.
#[test]
fn whom_faults_concerned_may_be_passed_over_for_a_while() {
    for fairness in ["by_attempt", "by_participant"] {
        let hit = |node: &str| {
            let mut story = queue(fairness, &[("c2", 2), ("c3", 3), ("c3", 4)], &[3, 4, 2]);
            story.at(20).fault(0, "partition", node);
            story.at(30).fault_ends(0);
            story.at(30).healed();
            story.verdict(L4)
        };
        assert_ne!(hit("c2"), Verdict::Invalid, "{fairness}");
        assert_eq!(hit("c3"), Verdict::Invalid, "{fairness}");
    }
}

#[test]
fn without_waiters_nothing_is_known() {
    let mut story = Story::new();
    story.header.fairness = "by_attempt".to_owned();
    story.at(0).takes("c1", 1, 33);
    story.unknown(L4);
    good().unknown(L4);
}

fn granted(story: &Story, op: u64) -> u64 {
    let is = |event: &&dlock_sim::trace::Event| matches!(event.kind, dlock_sim::trace::Kind::Granted { op: other, .. } if other == op);
    story.events.iter().find(is).unwrap().seq
}
