//! Each rule of the crate's documentation has a test named after it, which fails when the line that
//! keeps the rule is taken out. Virtual time; the store is the memory store behind scripted faults.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // Helpers of tests fail as tests do.

mod found_in_review;
mod found_in_second_review;
mod r01_deadline_from_the_send;
mod r02_one_id_for_each_attempt;
mod r03_indeterminate_is_cleaned_up;
mod r04_cancel_safe;
mod r05_release_touches_its_own_grant_only;
mod r06_renewal_never_resurrects_and_never_shortens;
mod r07_loss_needs_no_network;
mod r08_minimum_validity;
mod r09_clock_counts_suspend;
mod r10_tokens_rise;
mod r11_waiting_is_pushed_and_fair;
mod r12_body_first;
mod r13_drop_releases_in_the_background;
mod r14_secrets_are_not_shown;
mod r15_suspended_is_not_lost;
mod r16_ttl_is_never_silently_changed;
mod requests;
mod support;
