use dlock_sim::checker::Property::S3;
use dlock_sim::trace::StorageAccess::{Claim, Read, Write};
use dlock_sim::trace::Verdict;

use super::story::{Story, good};

#[test]
fn in_the_order_of_their_tokens_is_valid() {
    good().holds(S3);
}

#[test]
fn a_stale_write_that_the_fence_refuses_is_valid() {
    let mut story = Story::new();
    story.at(0).storage(Claim, "c1", 1, 33, true, true);
    story.at(5000).storage(Claim, "c2", 2, 34, true, true);
    story.at(6000).storage(Write, "c1", 1, 33, true, false);
    story.at(7000).storage(Write, "c2", 2, 34, true, true);
    story.holds(S3);
}

/// `claim-before-read`: a fence that looks only at writes.
#[test]
fn a_stale_write_after_a_claim_is_a_violation() {
    let mut story = Story::new();
    story.at(0).storage(Claim, "c1", 1, 33, true, true);
    story.at(5000).storage(Claim, "c2", 2, 34, true, true);
    let stale = story.at(6000).storage(Write, "c1", 1, 33, true, true);
    let words = [
        "ledger accepted a write of c1 with token 33 at 6.000 s, after c2 had claimed it with token 34 at 5.000 s",
    ];
    story.breaks(S3, stale, &words);
}

/// `gc-pause` without a fence: the newer holder has only read when the stale write comes.
#[test]
fn a_stale_unfenced_write_after_a_read_is_a_violation() {
    let mut story = Story::new();
    story.at(0).storage(Read, "c1", 1, 33, false, true);
    story.at(5000).storage(Read, "c2", 2, 34, false, true);
    let stale = story.at(6000).storage(Write, "c1", 1, 33, false, true);
    story.breaks(
        S3,
        stale,
        &["a write of c1 with token 33", "c2 had read it"],
    );
}

#[test]
fn the_same_token_in_other_hands_is_stale() {
    let mut story = Story::new();
    story.at(0).storage(Claim, "c1", 1, 33, true, true);
    let tie = story.at(5000).storage(Claim, "c2", 2, 33, true, true);
    story.breaks(S3, tie, &["a claim of c2 with token 33"]);
}

#[test]
fn a_stale_plain_read_harms_nobody() {
    let mut story = Story::new();
    story.at(0).storage(Write, "c2", 2, 34, false, true);
    story.at(1).storage(Read, "c1", 1, 33, false, true);
    assert_eq!(story.verdict(S3), Verdict::Valid);
    story.at(2).storage(Read, "c1", 1, 33, true, true);
    assert_eq!(
        story.verdict(S3),
        Verdict::Invalid,
        "this one showed its stamp"
    );
}

#[test]
fn one_holder_alone_puts_nothing_to_the_test() {
    let mut story = Story::new();
    story.unknown(S3);
    story.at(0).storage(Claim, "c1", 1, 33, true, true);
    story.at(1).storage(Write, "c1", 1, 33, true, true);
    story.unknown(S3);
}
