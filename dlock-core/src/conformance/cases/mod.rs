//! The cases, one file a theme. To add one: write it, and put it on the list below.

mod attempt;
mod exclusion;
mod inspect;
mod locker;
mod names;
mod order;
mod release;
mod renewal;
mod tokens;
mod ttl;
mod waiting;
mod watch;

use super::case::Case;

/// The one list: theme, name, and which rules (R1-R16) and safety properties (S1-S8) a case checks.
/// The table [`CASES`] and the tests of [`conformance_tests!`](crate::conformance_tests) come from it.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ([$($then:tt)+] $($arguments:tt)*) => {
        $($then)+! {
            $($arguments)*
            exclusion {
                a_free_lock_is_granted_at_once: "R2",
                a_held_lock_is_refused_to_another_client: "S2",
                a_held_lock_is_refused_to_its_own_client: "S2",
                of_racing_attempts_one_is_granted: "S2",
                a_lease_ends_after_its_ttl_and_not_before: "S2 S6 S7",
                contending_lockers_never_overlap: "S1 S2 R11",
            }
            tokens {
                tokens_rise_over_releases: "R10 S4",
                tokens_rise_over_an_expiry: "R10 S4",
                tokens_rise_over_clients: "R10 S4",
                tokens_rise_over_a_forced_release: "R10 S4",
                a_renewal_keeps_the_token: "R10 S4",
            }
            attempt {
                a_retry_gets_the_same_grant: "R1 R2",
                a_retry_does_not_lengthen_the_lease: "R1 R2",
                a_released_grant_is_not_revived: "R2 S4",
                an_expired_grant_is_not_revived: "R2 S4",
                an_ended_attempt_is_refused_while_another_holds: "R2 S2",
                a_refused_attempt_may_ask_again: "R2 R11",
                a_try_leaves_nothing: "R4 S6",
            }
            release {
                a_release_frees_the_lock: "R5",
                a_second_release_removes_nothing: "R5",
                a_late_release_spares_the_successor: "R5 S5",
                a_release_after_expiry_spares_the_successor: "R5 S5",
                a_release_compares_the_token: "R2 R5 S5",
                a_strangers_release_changes_nothing: "R5 S5",
                a_release_by_attempt_ends_the_grant: "R3 R4",
                a_release_by_attempt_ends_the_queue_entry: "R3 R4",
                a_release_spares_other_names: "R5 S5",
                a_grant_is_released_by_another_client: "R5",
            }
            renewal {
                a_renewal_extends_the_lease: "R6",
                a_renewal_never_shortens: "R6 S5",
                a_renewal_compares_the_id: "R6 S5",
                a_renewal_compares_the_token: "R2 R6 S5",
                a_renewal_after_release_is_refused: "R6 S6",
                a_renewal_after_expiry_is_refused: "R6 S6",
                a_late_renewal_spares_the_successor: "R6 S5",
                a_grant_is_renewed_by_another_client: "R6",
                a_batch_is_answered_in_order: "R6 S5",
                a_batch_may_have_many_ttls: "R6 R16",
            }
            names {
                names_that_look_alike_never_meet: "S2 S5",
                every_name_can_be_locked: "R5",
            }
            ttl {
                capabilities_make_sense: "R16",
                the_ttl_is_kept: "R16",
                the_longest_ttl_works: "R16",
                the_shortest_ttl_works: "R16",
            }
            inspect {
                a_free_lock_shows_nobody: "S6",
                the_holder_shows_to_everybody: "S6",
                any_label_survives: "S6",
                the_time_left_runs_down: "S7",
                waiting_attempts_are_counted: "R4",
                a_forced_release_takes_the_lock_away: "R6",
                a_forced_release_of_a_free_lock_finds_nothing: "S6",
                a_forced_release_spares_the_queue_and_other_names: "R11 S5",
            }
            watch {
                a_watch_sees_locking_and_unlocking: "S6",
                a_watch_starts_with_the_present_holder: "S6",
                a_watch_tells_an_expiry_from_a_release: "S6",
                a_watch_sees_a_forced_release: "S6",
                a_watch_sees_its_own_name_only: "S6",
            }
            waiting {
                a_waiting_attempt_is_woken_by_a_release: "R11",
                a_wait_that_was_dropped_can_go_on: "R4 R11",
                a_waiting_attempt_notices_an_expiry: "R11",
                a_waiting_locker_asks_rarely: "R11",
            }
            order {
                waiting_attempts_are_granted_in_order: "R11",
                participants_take_turns: "R11",
                the_releaser_does_not_win_its_own_lock_back: "R11",
                a_head_that_leaves_passes_the_lock_on: "R4 R11",
                a_dead_head_delays_the_next_a_little: "R11",
                a_try_does_not_pass_the_queue: "R11",
            }
            locker {
                a_guard_is_acquired_and_released: "R5 S1",
                a_waiting_locker_gets_the_lock: "R11",
                a_wait_that_times_out_leaves_nothing: "R4 S6",
                a_cancelled_acquire_leaves_nothing: "R4 S6",
                a_dropped_guard_is_released: "R13 S6",
                a_held_guard_outlives_its_ttl: "R6 S1",
                an_unrenewed_guard_ends_before_its_lease: "R1 S7",
                an_extended_guard_lasts_longer: "R6",
                a_guard_whose_lock_is_taken_is_lost: "R3 R6 R7",
                a_loss_is_noticed_in_the_declared_time: "S8",
                a_closed_store_can_be_used_again: "R13",
            }
        }
    };
}

macro_rules! table {
    ($($theme:ident { $($case:ident: $rules:literal,)* })*) => {
        /// Every case, in the order of the list.
        pub static CASES: &[Case] = &[$($(Case {
            theme: stringify!($theme),
            name: stringify!($case),
            rules: $rules,
            run: |harness| Box::pin($theme::$case(harness)),
        },)*)*];
    };
}

crate::__conformance_cases! { [table] }
