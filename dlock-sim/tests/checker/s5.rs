use dlock_sim::checker::Property::S5;
use dlock_sim::trace::{AuthorityEnd, CallKind, Outcome, Verdict};

use super::story::{Story, good};

#[test]
fn everybody_ends_what_is_their_own() {
    good().holds(S5);
}

/// `stale-release`: an unconditional delete.
#[test]
fn a_release_that_ends_another_lock_is_a_violation() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story
        .at(10_000)
        .authority_ends("s", 1, 33, AuthorityEnd::Expired, None);
    story.at(10_100).takes("c2", 2, 34);
    story
        .at(11_000)
        .call("c1", 31, CallKind::Release, 1, Some(33));
    let ends = story
        .at(11_100)
        .authority_ends("s", 2, 34, AuthorityEnd::Removed, Some("c1"));
    let words = ["c1 ended the lock of c2 (token 34) on invoice at 11.100 s"];
    story.breaks(S5, ends, &words);
}

/// A release may arrive at any time after it was sent, but not before, and not with another grant's token.
#[test]
fn a_release_explains_what_comes_after_it_for_its_own_grant() {
    let with = |called_ms, token| {
        let mut story = Story::new();
        story.at(0).queues("c2", 2);
        story.at(0).authority_begins("s", 1, 33, 60_000);
        story
            .at(called_ms)
            .call("c1", 31, CallKind::Release, 1, token);
        story
            .at(40_000)
            .authority_ends("s", 1, 33, AuthorityEnd::Removed, Some("c1"));
        story.at(50_000).answer("c1", 31, Outcome::Removed, None);
        story.verdict(S5)
    };
    assert_eq!(with(10, Some(33)), Verdict::Valid);
    assert_eq!(with(10, None), Verdict::Valid);
    assert_eq!(with(10, Some(32)), Verdict::Invalid);
    assert_eq!(with(40_001, Some(33)), Verdict::Invalid);
}

#[test]
fn a_forced_release_explains_any_end_and_no_extension() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(0).queues("c2", 2);
    story
        .at(500)
        .call("c3", 51, CallKind::ForceRelease, 0, None);
    let mut moved = Story::new();
    moved.events.clone_from(&story.events);
    story
        .at(600)
        .authority_ends("s", 1, 33, AuthorityEnd::Removed, Some("c3"));
    assert_eq!(story.verdict(S5), Verdict::Valid);
    let extends = moved
        .at(600)
        .authority_moved("s", 1, 33, 20_000, Some("c3"));
    moved.breaks(S5, extends, &["c3 extended the lock of c1 (token 33)"]);
}

/// R6: an old renewal that arrives late does not cut a longer lease.
#[test]
fn a_renewal_that_shortens_is_a_violation() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(1000).call("c1", 41, CallKind::Renew, 1, Some(33));
    story.at(2000).call("c1", 42, CallKind::Renew, 1, Some(33));
    story
        .at(2100)
        .authority_moved("s", 1, 33, 62_000, Some("c1"));
    let late = story
        .at(3000)
        .authority_moved("s", 1, 33, 13_000, Some("c1"));
    story.breaks(
        S5,
        late,
        &["a renewal of c1 shortened its own invoice at 3.000 s"],
    );
}

/// A new etcd leader lengthens all leases; the next keepalive sets the holder's own again.
#[test]
fn what_a_server_added_by_itself_may_go_again() {
    let with = |renewed_until| {
        let mut story = Story::new();
        story.at(0).queues("c2", 2);
        story.at(0).call("c1", 40, CallKind::Attempt, 1, None);
        story.at(0).authority_begins_by("s", 1, 33, 10_000, "c1");
        story.at(500).call("c1", 41, CallKind::Renew, 1, Some(33));
        story
            .at(500)
            .authority_moved("s", 1, 33, 10_500, Some("c1"));
        story.at(1000).authority_moved("s", 1, 33, 30_000, None);
        story.at(2000).call("c1", 42, CallKind::Renew, 1, Some(33));
        story
            .at(2000)
            .authority_moved("s", 1, 33, renewed_until, Some("c1"));
        story.verdict(S5)
    };
    assert_eq!(with(12_000), Verdict::Valid);
    assert_eq!(with(10_499), Verdict::Invalid);
}

/// An operator, or another library, promises nothing.
#[test]
fn machines_without_a_locker_are_not_judged() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(0).queues("c2", 2);
    story
        .at(600)
        .authority_ends("s", 1, 33, AuthorityEnd::Removed, Some("operator"));
    story.unknown(S5);
}

#[test]
fn without_servers_words_nothing_is_known() {
    let mut story = Story::new();
    story.at(0).acquire("c1", 1);
    story.at(0).granted("c1", 1, 33);
    story.unknown(S5);
}

/// A late release that compares nothing ends the same client's next lock.
#[test]
fn a_release_that_ends_ones_own_next_lock_is_a_violation() {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(100).queues("c2", 9);
    story
        .at(10_000)
        .authority_ends("s", 1, 33, AuthorityEnd::Expired, None);
    story
        .at(10_050)
        .call("c1", 31, CallKind::Release, 1, Some(33));
    story.at(10_100).takes("c1", 2, 34);
    let ends = story
        .at(11_000)
        .authority_ends("s", 2, 34, AuthorityEnd::Removed, Some("c1"));
    let words = ["c1 ended the lock of c1 (token 34) on invoice at 11.000 s"];
    story.breaks(S5, ends, &words);
}

/// R6: the grant itself counts, not only renewals before.
#[test]
fn a_first_renewal_that_shortens_is_a_violation() {
    let until = |renewed_until: u64| {
        let mut story = Story::new();
        story.at(0).acquire("c1", 1);
        story.at(0).call("c1", 101, CallKind::Attempt, 1, None);
        story.at(0).authority_begins_by("s", 1, 33, 10_000, "c1");
        story.at(0).answer("c1", 101, Outcome::Granted, Some(33));
        story.at(0).granted("c1", 1, 33);
        story.at(100).queues("c2", 2);
        story.at(3000).call("c1", 41, CallKind::Renew, 1, Some(33));
        story
            .at(3000)
            .authority_moved("s", 1, 33, renewed_until, Some("c1"));
        story.verdict(S5)
    };
    assert_eq!(until(13_000), Verdict::Valid);
    assert_eq!(until(9_000), Verdict::Invalid);
}
