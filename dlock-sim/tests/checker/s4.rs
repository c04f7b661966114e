use dlock_sim::checker::Property::S4;
use dlock_sim::trace::{CallKind, Outcome, Verdict};

use super::story::{Story, good, ms};

#[test]
fn rising_tokens_are_valid() {
    good().holds(S4);
}

#[test]
fn a_token_that_falls_is_a_violation() {
    let mut story = Story::new();
    story.at(0).acquire("c1", 1);
    story.at(100).granted("c1", 1, 33);
    story.at(200).belief_ends("c1", 1, 33);
    story.at(300).acquire("c2", 2);
    let falls = story.at(400).granted("c2", 2, 32);
    let words = [
        "c2 asked for invoice at 0.300 s and was given token 32, but token 33 had been handed to c1 at 0.100 s already",
    ];
    story.breaks(S4, falls, &words);
}

/// Who asked before the other was granted may have been counted before.
#[test]
fn tokens_of_two_who_asked_together_may_come_in_any_order() {
    let mut story = Story::new();
    story.at(0).acquire("c1", 1);
    story.at(50).acquire("c2", 2);
    story.at(100).granted("c1", 1, 33);
    story.at(200).belief_ends("c1", 1, 33);
    story.at(400).granted("c2", 2, 32);
    story.at(500).belief_ends("c2", 2, 32);
    story.unknown(S4);
}

/// Without an `acquire` the first call counts.
#[test]
fn the_first_call_stands_for_the_acquisition() {
    let mut story = Story::new();
    story.at(100).granted("c1", 1, 33);
    story.at(200).belief_ends("c1", 1, 33);
    story.at(300).call("c2", 12, CallKind::Attempt, 2, None);
    let falls = story.at(400).granted("c2", 2, 31);
    story.breaks(S4, falls, &["c2 asked for invoice at 0.300 s"]);
}

#[test]
fn a_token_for_two_attempts_is_a_violation_even_if_no_user_saw_one() {
    let mut story = Story::new();
    story.at(0).call("c1", 11, CallKind::Attempt, 1, None);
    story.at(100).authority_begins("s", 1, 33, 1000);
    story.at(2000).call("c2", 12, CallKind::Attempt, 2, None);
    let twice = story.at(2100).answer("c2", 12, Outcome::Granted, Some(33));
    story.breaks(
        S4,
        twice,
        &["token 33 of invoice was given to c1 at 0.100 s and to c2 at 2.100 s"],
    );
}

#[test]
fn a_renewal_that_changes_the_token_is_a_violation() {
    let mut client = Story::new();
    client.at(0).granted("c1", 1, 33);
    let changed = client.at(100).deadline_moved("c1", 1, 34, ms(20_000));
    client.breaks(
        S4,
        changed,
        &["at c1 the renewal of invoice at 0.100 s names token 34, but its grant has token 33"],
    );
    let mut server = Story::new();
    server.at(0).authority_begins("s", 1, 33, 10_000);
    let changed = server
        .at(100)
        .authority_moved("s", 1, 34, 20_000, Some("c1"));
    server.breaks(
        S4,
        changed,
        &["at s the renewal of invoice at 0.100 s names token 34"],
    );
}

#[test]
fn an_unchanged_renewal_is_valid() {
    let mut story = Story::new();
    story.at(0).granted("c1", 1, 33);
    story.at(100).deadline_moved("c1", 1, 33, ms(20_000));
    assert_eq!(story.verdict(S4), Verdict::Valid);
}
