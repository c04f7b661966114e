use dlock_sim::checker::Property::S8;
use dlock_sim::trace::{AuthorityEnd, CallKind, Outcome, Verdict};

use super::story::{Story, good, ms};

/// An operator deletes the lock of c1 at 20 s; it believes until `until_ms`.
fn deleted(until_ms: u64) -> Story {
    let mut story = Story::new();
    story.at(15_000).takes("c1", 1, 33);
    story.at(20_000).fault(0, "delete_lock", "s");
    story
        .at(20_000)
        .authority_ends("s", 1, 33, AuthorityEnd::Dropped, None);
    story.at(until_ms).belief_ends("c1", 1, 33);
    story.at(60_000).end();
    story
}

#[test]
fn noticed_within_the_declared_time_is_valid() {
    let mut story = deleted(20_300);
    story.header.loss_notice_ns = Some(ms(250));
    assert_eq!(story.verdict(S8), Verdict::Valid);
}

#[test]
fn noticed_later_is_a_violation() {
    let mut story = deleted(21_000);
    story.header.loss_notice_ns = Some(ms(250));
    let ends = story
        .events
        .iter()
        .find(|event| event.node == "s" && event.t_ns == ms(20_000));
    let ends = ends.unwrap().seq;
    let words = [
        "c1 went on believing in invoice (token 33) until 21.000 s",
        "s had let it end at 20.000 s",
        "known by 20.500 s",
    ];
    story.breaks(S8, ends, &words);
}

/// Who was stopped, or cut off, could not know.
#[test]
fn only_who_runs_and_is_connected_is_judged() {
    for (fault, node) in [("partition", "c1"), ("freeze", "s")] {
        let mut story = deleted(21_000);
        story.header.loss_notice_ns = Some(ms(250));
        story.at(19_000).fault(1, fault, node);
        story.at(22_000).fault_ends(1);
        story.unknown(S8);
    }
    let mut paused = deleted(21_000);
    paused.header.loss_notice_ns = Some(ms(250));
    paused.at(19_900).process("c1", "paused");
    paused.at(20_900).process("c1", "resumed");
    paused.unknown(S8);
    let mut other = deleted(21_000);
    other.header.loss_notice_ns = Some(ms(250));
    other.at(19_000).fault(1, "partition", "c2");
    assert_eq!(other.verdict(S8), Verdict::Invalid, "that concerns only c2");
}

/// Without a declared time the next answer to a renewal tells.
#[test]
fn the_next_renewal_tells() {
    let with = |believes_until| {
        let mut story = deleted(believes_until);
        story
            .at(21_900)
            .call("c1", 41, CallKind::Renew, 1, Some(33));
        story.at(22_000).answer("c1", 41, Outcome::NotOwner, None);
        story.verdict(S8)
    };
    assert_eq!(with(22_001), Verdict::Valid);
    assert_eq!(with(22_300), Verdict::Invalid);
    assert_eq!(
        deleted(24_000).verdict(S8),
        Verdict::Unknown,
        "no renewal: its deadline"
    );
}

#[test]
fn a_release_of_ones_own_is_no_loss() {
    good().unknown(S8);
}
