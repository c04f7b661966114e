use dlock_sim::checker::Property::S7;
use dlock_sim::trace::{AuthorityEnd, CallKind, Verdict};

use super::story::{Story, good, ms};

#[test]
fn belief_within_authority_is_valid() {
    good().holds(S7);
}

/// `late-loss`: the deadline was counted from the reply.
#[test]
fn a_deadline_after_the_end_is_a_violation() {
    let mut story = Story::new();
    story.at(0).call("c1", 11, CallKind::Attempt, 1, None);
    story.at(10).authority_begins("s", 1, 33, 10_010);
    story.at(3000).granted("c1", 1, 33);
    let ends = story
        .at(10_010)
        .authority_ends("s", 1, 33, AuthorityEnd::Expired, None);
    story.at(60_000).end();
    let words = [
        "c1 believed in invoice (token 33) until 13.000 s, but s let it end at 10.010 s (expired)",
    ];
    story.breaks(S7, ends, &words);
}

/// The deadline in force at each moment counts, in true time.
#[test]
fn deadlines_that_move_in_time_are_valid_on_a_clock_that_is_right() {
    let with_rate = |rate_ppb| {
        let mut story = Story::new();
        story.at(0).clock("c1", 0, rate_ppb);
        story.at(0).authority_begins("s", 1, 33, 10_000);
        story.at(10).granted_until("c1", 1, 33, ms(9900));
        story
            .at(5000)
            .authority_moved("s", 1, 33, 15_000, Some("c1"));
        story.at(5010).deadline_moved("c1", 1, 33, ms(14_900));
        story
            .at(15_000)
            .authority_ends("s", 1, 33, AuthorityEnd::Expired, None);
        story.at(60_000).end();
        story.verdict(S7)
    };
    assert_eq!(with_rate(0), Verdict::Valid);
    assert_eq!(with_rate(-5_000_000), Verdict::Valid);
    assert_eq!(with_rate(-20_000_000), Verdict::Invalid);
}

/// An early end is a violation unless belief had ended before.
#[test]
fn an_early_end_counts_only_while_it_is_believed_in() {
    let with = |belief_ends_ms| {
        let mut story = Story::new();
        story.at(0).authority_begins("s", 1, 33, 10_000);
        story.at(0).granted("c1", 1, 33);
        story.at(belief_ends_ms).belief_ends("c1", 1, 33);
        story
            .at(5000)
            .authority_ends("s", 1, 33, AuthorityEnd::Dropped, None);
        story.at(60_000).end();
        story.verdict(S7)
    };
    assert_eq!(with(5000), Verdict::Valid);
    assert_eq!(with(5001), Verdict::Invalid);
}

/// What a second server says of the same grant counts, too: a failover that kept the key.
#[test]
fn a_promoted_replica_goes_on() {
    let mut story = Story::new();
    story.at(0).authority_begins("s", 1, 33, 10_000);
    story.at(0).granted("c1", 1, 33);
    story.at(5000).authority_begins("s2", 1, 33, 10_000);
    story
        .at(5000)
        .authority_ends("s", 1, 33, AuthorityEnd::Lost, None);
    story.at(60_000).end();
    assert_eq!(story.verdict(S7), Verdict::Valid);
}

#[test]
fn a_grant_that_no_server_knows_is_a_violation() {
    let mut story = Story::new();
    story.at(0).authority_begins("s", 1, 33, 10_000);
    story
        .at(1)
        .authority_ends("s", 1, 33, AuthorityEnd::Removed, Some("c1"));
    let seq = story.at(2).granted("c1", 1, 34);
    story.at(60_000).end();
    story.breaks(
        S7,
        seq,
        &[
            "c1 believed in invoice (token 34)",
            "no server said so at 0.002 s",
        ],
    );
}

#[test]
fn without_servers_words_nothing_is_known() {
    let mut story = Story::new();
    story.at(0).granted("c1", 1, 33);
    story.unknown(S7);
}
