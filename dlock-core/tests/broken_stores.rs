//! Each conformance case can fail: the stores that are broken on purpose are caught by name.
#![allow(clippy::unwrap_used)] // A factory or helper of tests may unwrap as tests do.

use std::collections::BTreeSet;
use std::sync::Arc;

use Flaw::*;
use dlock_core::MemoryStore;
use dlock_core::conformance::{
    BrokenStore, CASES, Case, Flaw, Outcome, SameStore, StoreFactory, VirtualRuntime,
};

/// Which cases must catch a flaw. Others may catch it, too: who does not release, for one, fails
/// half of the kit.
const CAUGHT_BY: &[(Flaw, &[&str])] = &[
    (
        GrantsToEverybody,
        &[
            "a_held_lock_is_refused_to_another_client",
            "a_held_lock_is_refused_to_its_own_client",
            "of_racing_attempts_one_is_granted",
        ],
    ),
    (
        CheckThenAct,
        &[
            "of_racing_attempts_one_is_granted",
            "contending_lockers_never_overlap",
        ],
    ),
    (
        ReentrantByClient,
        &["a_held_lock_is_refused_to_its_own_client"],
    ),
    (FreeLockRefused, &["a_free_lock_is_granted_at_once"]),
    (
        NoExpiry,
        &[
            "a_lease_ends_after_its_ttl_and_not_before",
            "the_shortest_ttl_works",
            "the_time_left_runs_down",
        ],
    ),
    (
        ExpiresEarly,
        &[
            "a_lease_ends_after_its_ttl_and_not_before",
            "an_unrenewed_guard_ends_before_its_lease",
            "the_ttl_is_kept",
        ],
    ),
    (
        TokensFall,
        &[
            "tokens_rise_over_releases",
            "tokens_rise_over_an_expiry",
            "tokens_rise_over_clients",
            "tokens_rise_over_a_forced_release",
        ],
    ),
    (
        TokensRepeat,
        &[
            "a_released_grant_is_not_revived",
            "an_expired_grant_is_not_revived",
            "a_release_compares_the_token",
        ],
    ),
    (TokensOfTheClient, &["tokens_rise_over_clients"]),
    (TokensStartAnew, &["tokens_rise_over_a_forced_release"]),
    (
        TokenChangesWithRenewal,
        &["a_renewal_keeps_the_token", "a_held_guard_outlives_its_ttl"],
    ),
    (RetryRefused, &["a_retry_gets_the_same_grant"]),
    (RetryMintsToken, &["a_retry_gets_the_same_grant"]),
    (RetryLengthens, &["a_retry_does_not_lengthen_the_lease"]),
    (RetryClaimsExpiry, &["a_retry_gets_the_same_grant"]),
    (
        GrantRemembered,
        &[
            "a_released_grant_is_not_revived",
            "an_expired_grant_is_not_revived",
            "an_ended_attempt_is_refused_while_another_holds",
        ],
    ),
    (
        RefusalRemembered,
        &[
            "a_refused_attempt_may_ask_again",
            "a_waiting_locker_gets_the_lock",
        ],
    ),
    (TryQueues, &["a_try_leaves_nothing"]),
    (TryPassesTheQueue, &["a_try_does_not_pass_the_queue"]),
    (
        ReleaseComparesNothing,
        &[
            "a_late_release_spares_the_successor",
            "a_release_after_expiry_spares_the_successor",
            "a_release_compares_the_token",
            "a_strangers_release_changes_nothing",
        ],
    ),
    (ReleaseComparesIdOnly, &["a_release_compares_the_token"]),
    (
        ReleaseComparesTokenOnly,
        &["a_strangers_release_changes_nothing"],
    ),
    (
        ReleaseEndsAll,
        &[
            "a_release_spares_other_names",
            "names_that_look_alike_never_meet",
        ],
    ),
    (
        ReleaseDoesNothing,
        &[
            "a_release_frees_the_lock",
            "a_guard_is_acquired_and_released",
            "a_dropped_guard_is_released",
            "a_free_lock_shows_nobody",
        ],
    ),
    (ReleaseClaimsRemoval, &["a_second_release_removes_nothing"]),
    (
        ReleaseOfAttemptSparesGrant,
        &["a_release_by_attempt_ends_the_grant"],
    ),
    (
        ReleaseOfAttemptSparesEntry,
        &[
            "a_release_by_attempt_ends_the_queue_entry",
            "a_cancelled_acquire_leaves_nothing",
            "a_wait_that_times_out_leaves_nothing",
            "waiting_attempts_are_counted",
        ],
    ),
    (
        GrantBoundToClient,
        &[
            "a_grant_is_released_by_another_client",
            "a_grant_is_renewed_by_another_client",
        ],
    ),
    (
        RenewalComparesNothing,
        &[
            "a_renewal_compares_the_id",
            "a_renewal_compares_the_token",
            "a_late_renewal_spares_the_successor",
        ],
    ),
    (RenewalComparesIdOnly, &["a_renewal_compares_the_token"]),
    (RenewalComparesTokenOnly, &["a_renewal_compares_the_id"]),
    (
        RenewalResurrects,
        &[
            "a_renewal_after_release_is_refused",
            "a_renewal_after_expiry_is_refused",
        ],
    ),
    (RenewalShortens, &["a_renewal_never_shortens"]),
    (
        RenewalDoesNothing,
        &[
            "a_renewal_extends_the_lease",
            "a_held_guard_outlives_its_ttl",
            "an_extended_guard_lasts_longer",
        ],
    ),
    (BatchReversed, &["a_batch_is_answered_in_order"]),
    (BatchCut, &["a_batch_is_answered_in_order"]),
    (BatchOfOneTtl, &["a_batch_may_have_many_ttls"]),
    (NamesLowered, &["names_that_look_alike_never_meet"]),
    (NamesTrimmed, &["names_that_look_alike_never_meet"]),
    (NamesCut, &["names_that_look_alike_never_meet"]),
    (NamesHashed, &["names_that_look_alike_never_meet"]),
    (NamesNested, &["names_that_look_alike_never_meet"]),
    (NamesRefused, &["every_name_can_be_locked"]),
    (CapabilitiesChange, &["capabilities_make_sense"]),
    (TtlUnlimited, &["capabilities_make_sense"]),
    (TtlRounded, &["the_ttl_is_kept"]),
    (TtlCapped, &["the_longest_ttl_works"]),
    (TtlRaised, &["the_shortest_ttl_works"]),
    (InspectShowsTheDead, &["a_free_lock_shows_nobody"]),
    (
        TimeLeftDoubled,
        &["the_time_left_runs_down", "the_ttl_is_kept"],
    ),
    (LabelLost, &["the_holder_shows_to_everybody"]),
    (LabelCut, &["any_label_survives"]),
    (
        RefusalNamesNobody,
        &[
            "the_holder_shows_to_everybody",
            "a_wait_that_times_out_leaves_nothing",
        ],
    ),
    (WaitersMiscounted, &["waiting_attempts_are_counted"]),
    (
        ForcedReleaseDoesNothing,
        &[
            "a_forced_release_takes_the_lock_away",
            "a_guard_whose_lock_is_taken_is_lost",
            "a_watch_sees_a_forced_release",
        ],
    ),
    (
        ForcedReleaseClaimsHolder,
        &["a_forced_release_of_a_free_lock_finds_nothing"],
    ),
    (
        ForcedReleaseTakesPrefix,
        &["a_forced_release_spares_the_queue_and_other_names"],
    ),
    (
        WatchMissesUnlock,
        &[
            "a_watch_sees_locking_and_unlocking",
            "a_watch_sees_a_forced_release",
        ],
    ),
    (
        WatchMistakesExpiry,
        &["a_watch_tells_an_expiry_from_a_release"],
    ),
    (
        WatchForgetsTheStart,
        &["a_watch_starts_with_the_present_holder"],
    ),
    (WatchSeesAllNames, &["a_watch_sees_its_own_name_only"]),
    (
        WakeupDropped,
        &[
            "a_waiting_attempt_is_woken_by_a_release",
            "a_waiting_locker_gets_the_lock",
        ],
    ),
    (WakeupLate, &["a_waiting_attempt_is_woken_by_a_release"]),
    (WakeupStorm, &["a_waiting_locker_asks_rarely"]),
    (
        WakeupOnlyByRelease,
        &["a_waiting_attempt_notices_an_expiry"],
    ),
    (WaitNotCancelSafe, &["a_wait_that_was_dropped_can_go_on"]),
    (QueueLifo, &["waiting_attempts_are_granted_in_order"]),
    (
        QueueIgnored,
        &[
            "the_releaser_does_not_win_its_own_lock_back",
            "a_try_does_not_pass_the_queue",
        ],
    ),
    (ReservationKept, &["a_head_that_leaves_passes_the_lock_on"]),
    (DeadHeadBlocks, &["a_dead_head_delays_the_next_a_little"]),
    (FairnessOverclaimed, &["participants_take_turns"]),
    (LossNotReported, &["a_loss_is_noticed_in_the_declared_time"]),
    (DeadAfterClose, &["a_closed_store_can_be_used_again"]),
];

/// Runs all cases against all flaws; prints who catches what, with `--nocapture`.
#[test]
fn every_flaw_is_caught_by_name() {
    let mut escaped = Vec::new();
    for (flaw, must_catch) in CAUGHT_BY {
        println!("{flaw:?}");
        for case in CASES {
            let outcome = run(case, |runtime| BrokenStore::new(*flaw, runtime));
            let expected = must_catch.contains(&case.name);
            match outcome {
                Outcome::Failed(sentence) => {
                    println!(
                        "  {} {}: {sentence}",
                        if expected { '*' } else { ' ' },
                        case.name
                    )
                }
                other if expected => escaped.push(format!("{flaw:?} by {}: {other:?}", case.name)),
                _ => {}
            }
        }
    }
    assert!(escaped.is_empty(), "not caught: {escaped:#?}");
}

#[test]
fn the_table_has_every_flaw_and_every_case() {
    let flaws: Vec<_> = CAUGHT_BY.iter().map(|(flaw, _)| *flaw).collect();
    assert_eq!(flaws, Flaw::ALL);
    let catching: BTreeSet<_> = CAUGHT_BY
        .iter()
        .flat_map(|(_, cases)| *cases)
        .copied()
        .collect();
    let all: BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(catching, all, "left: catches a flaw; right: exists");
}

/// The flaws are all that is wrong with the broken stores.
#[test]
fn the_store_below_passes_every_case() {
    for case in CASES {
        let outcome = run(case, |runtime| {
            SameStore::new(MemoryStore::with_runtime(runtime.clone()), runtime)
        });
        // Memory queues by attempt, not by participant.
        let skipped =
            matches!(outcome, Outcome::Skipped(_)) && case.name == "participants_take_turns";
        assert!(
            outcome == Outcome::Passed || skipped,
            "{case:?}: {outcome:?}"
        );
    }
}

fn run<F: StoreFactory>(case: &Case, factory: impl FnOnce(Arc<VirtualRuntime>) -> F) -> Outcome {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    tokio.block_on(async { case.run(&factory(Arc::new(VirtualRuntime::new(7)))).await })
}
