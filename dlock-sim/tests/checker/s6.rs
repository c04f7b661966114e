use dlock_sim::checker::Property::S6;
use dlock_sim::trace::{AuthorityEnd, CallKind, Outcome, Verdict};

use super::story::{Story, good};

#[test]
fn everybody_asked_for_what_is_theirs() {
    good().holds(S6);
}

#[test]
fn an_attempt_that_nobody_made_is_a_violation() {
    let mut story = good();
    let phantom = story.at(4000).authority_begins("s", 99, 36, 5000);
    story.breaks(
        S6,
        phantom,
        &["no client had asked on its behalf", "from 4.000 s on"],
    );
}

/// A process dies: its lock lives a TTL after the last renewal.
#[test]
fn an_orphan_lasts_its_ttl() {
    let dies_at = |renewed_ms, ends_ms| {
        let mut story = Story::new();
        story.at(0).takes("c1", 1, 33);
        story.at(5000).call("c1", 41, CallKind::Renew, 1, Some(33));
        story.at(5000).process("c1", "crashed");
        story
            .at(renewed_ms)
            .authority_moved("s", 1, 33, 20_000, Some("c1"));
        story
            .at(ends_ms)
            .authority_ends("s", 1, 33, AuthorityEnd::Expired, None);
        story.verdict(S6)
    };
    assert_eq!(dies_at(5100, 15_100), Verdict::Valid);
    assert_eq!(dies_at(5100, 16_400), Verdict::Invalid);
    // Its last renewal was held up by the network.
    assert_eq!(dies_at(9000, 19_000), Verdict::Valid);
}

/// `zombie-renewal`: the lock is dropped and renewed for ever.
#[test]
fn an_orphan_that_is_renewed_on_and_on_is_a_violation() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(1000).belief_ends("c1", 1, 33);
    for turn in 1..10 {
        let t = turn * 3000;
        story
            .at(t)
            .call("c1", 40 + turn, CallKind::Renew, 1, Some(33));
        story
            .at(t)
            .authority_moved("s", 1, 33, t + 10_000, Some("c1"));
        story.at(t).answer("c1", 40 + turn, Outcome::Renewed, None);
    }
    let ends = story
        .at(37_000)
        .authority_ends("s", 1, 33, AuthorityEnd::Expired, None);
    story.breaks(
        S6,
        ends,
        &["nobody believed in the lock of c1 (token 33) on invoice from 1.000 s on"],
    );
}

/// R6: a renewal that comes too late writes the key anew.
#[test]
fn a_grant_that_a_request_brings_back_is_a_violation() {
    let again = |by: Option<&str>, server| {
        let mut story = good();
        match by {
            Some(by) => story.at(4000).authority_begins_by(server, 1, 33, 5000, by),
            None => story.at(4000).authority_begins(server, 1, 33, 5000),
        };
        story
            .at(4500)
            .authority_ends(server, 1, 33, AuthorityEnd::Expired, None);
        story.verdict(S6)
    };
    assert_eq!(again(Some("c1"), "s"), Verdict::Invalid);
    // A restored snapshot, or another server that had the lock all along.
    assert_eq!(again(None, "s"), Verdict::Valid);
    assert_eq!(again(Some("c1"), "old"), Verdict::Valid);
}

/// The answer was lost and user code asks again, with the same attempt, until it is told.
#[test]
fn a_grant_that_user_code_never_saw_lives_a_ttl_after_the_last_try() {
    let mut story = Story::new();
    story.at(0).acquire("c1", 1);
    for turn in 0..4 {
        story
            .at(turn * 4000)
            .call("c1", 11 + turn, CallKind::Attempt, 1, None);
    }
    story.at(100).authority_begins("s", 1, 33, 10_100);
    story.at(1000).authority_moved("s", 1, 33, 22_000, None);
    story
        .at(22_000)
        .authority_ends("s", 1, 33, AuthorityEnd::Expired, None);
    assert_eq!(story.verdict(S6), Verdict::Valid);
    story.events.pop();
    story
        .at(24_000)
        .authority_ends("s", 1, 33, AuthorityEnd::Expired, None);
    assert_eq!(story.verdict(S6), Verdict::Invalid);
}

#[test]
fn without_servers_or_calls_nothing_is_known() {
    let mut story = Story::new();
    story.at(0).granted("c1", 1, 33);
    story.unknown(S6);
    story.at(0).authority_begins("s", 1, 33, 10_000);
    story.unknown(S6);
}

/// Who waits for the lock again must not keep its own old one alive.
#[test]
fn an_orphan_that_its_own_client_waits_for_is_a_violation() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(1000).belief_ends("c1", 1, 33);
    story.at(1500).queues("c1", 2);
    for turn in 1..10 {
        let t = turn * 3000;
        story
            .at(t)
            .call("c1", 40 + turn, CallKind::Renew, 1, Some(33));
        story
            .at(t)
            .authority_moved("s", 1, 33, t + 10_000, Some("c1"));
        story.at(t).answer("c1", 40 + turn, Outcome::Renewed, None);
    }
    let ends = story
        .at(37_000)
        .authority_ends("s", 1, 33, AuthorityEnd::Expired, None);
    story.breaks(S6, ends, &["nobody believed in the lock of c1 (token 33)"]);
}
