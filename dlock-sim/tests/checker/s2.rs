use dlock_sim::checker::Property::S2;
use dlock_sim::trace::{AuthorityEnd, CallKind, Verdict};

use super::story::{Story, good};

#[test]
fn one_after_the_other_is_valid() {
    good().holds(S2);
}

/// A split brain: each server keeps to itself.
#[test]
fn two_servers_that_disagree_are_a_violation() {
    let mut story = Story::new();
    story.at(0).call("c1", 11, CallKind::Attempt, 1, None);
    story.at(0).authority_begins("s", 1, 33, 10_000);
    story.at(4000).call("c2", 12, CallKind::Attempt, 2, None);
    let second = story.at(5000).authority_begins("s2", 2, 34, 15_000);
    story.at(20_000).end();
    let words = [
        "s2 said from 5.000 s on that invoice belongs to c2 (token 34)",
        "while s said from 0.000 s to 10.000 s that it belongs to c1 (token 33)",
    ];
    story.breaks(S2, second, &words);
}

/// A replica that is promoted with the key says the same as the old primary.
#[test]
fn one_attempt_on_two_servers_is_one_holder() {
    let mut story = Story::new();
    story.at(0).call("c1", 11, CallKind::Attempt, 1, None);
    story.at(0).authority_begins("s", 1, 33, 10_000);
    story.at(4000).authority_begins("s2", 1, 33, 10_000);
    story.at(5000).call("c2", 12, CallKind::Attempt, 2, None);
    story.at(10_000).authority_begins("s2", 2, 34, 20_000);
    story.at(30_000).end();
    let report = story.report();
    assert_eq!(report.of(S2).unwrap().verdict, Verdict::Valid, "{report}");
}

/// An end that was noticed late is written with the time at which it was.
#[test]
fn an_expiry_counts_from_its_own_time() {
    let mut story = Story::new();
    story.at(0).call("c1", 11, CallKind::Attempt, 1, None);
    story.at(0).authority_begins("s", 1, 33, 10_000);
    story.at(9000).call("c2", 12, CallKind::Attempt, 2, None);
    story.at(10_000).authority_begins("s", 2, 34, 20_000);
    story
        .at(10_000)
        .authority_ends("s", 1, 33, AuthorityEnd::Expired, None);
    story.at(30_000).end();
    assert_eq!(story.verdict(S2), Verdict::Valid);
}

#[test]
fn without_servers_words_nothing_is_known() {
    let mut story = Story::new();
    story.at(0).acquire("c1", 1);
    story.at(0).granted("c1", 1, 33);
    story.unknown(S2);
    story.at(1).authority_begins("s", 1, 33, 10_000);
    story.unknown(S2);
}
