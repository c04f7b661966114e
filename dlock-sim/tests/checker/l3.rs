use dlock_sim::checker::Property::{L3, S6};
use dlock_sim::trace::{AuthorityEnd, CallKind, Verdict};

use super::story::{Story, good};

/// The server's clock is set back: the orphan outlives its TTL, and that is excused until the faults are over.
fn set_back(ends_ms: u64) -> Story {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(1000).process("c1", "crashed");
    story.at(2000).fault(0, "clock_step", "s");
    story.at(2000).authority_moved("s", 1, 33, ends_ms, None);
    story.at(20_000).healed();
    story
        .at(ends_ms)
        .authority_ends("s", 1, 33, AuthorityEnd::Expired, None);
    story.at(60_000).end();
    story
}

#[test]
fn gone_a_ttl_after_the_faults_is_valid() {
    let story = set_back(30_000);
    assert_eq!(story.verdict(L3), Verdict::Valid);
    assert_eq!(
        story.verdict(S6),
        Verdict::Invalid,
        "but its TTL was over long before"
    );
}

#[test]
fn an_orphan_that_stays_is_a_violation() {
    let story = set_back(40_000);
    let ends = story.events.iter().rev().nth(1).unwrap().seq;
    story.breaks(
        L3,
        ends,
        &[
            "nobody believed in the lock of c1 (token 33) on invoice from 20.000 s on",
            "due to end by 30.000 s",
            "kept it until 40.000 s",
        ],
    );
}

/// Renewed for ever by a client that forgot it.
#[test]
fn a_zombie_is_a_violation_in_a_trace_without_faults() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(1000).belief_ends("c1", 1, 33);
    for turn in 1..6 {
        let t = turn * 6000;
        story
            .at(t)
            .call("c1", 40 + turn, CallKind::Renew, 1, Some(33));
        story
            .at(t)
            .authority_moved("s", 1, 33, t + 10_000, Some("c1"));
    }
    story.at(33_000).end();
    assert_eq!(story.verdict(L3), Verdict::Invalid, "{}", story.report());
}

#[test]
fn without_orphans_nothing_is_known() {
    good().unknown(L3);
    let mut unhealed = set_back(30_000);
    unhealed.at(50_000).fault(1, "freeze", "s");
    unhealed.unknown(L3);
}
