use super::properties::*;
use super::*;
use crate::check::{breaks, holds};

const TRY: Mode = Mode::Try;
const QUEUE: Mode = Mode::Queue;

fn queue(modes: &[Mode]) -> Queue {
    Queue {
        modes: modes.to_vec(),
        leases: modes.len(),
        give_ups: 1,
        duplicates: 0,
        writes: false,
        without: None,
    }
}

#[test]
fn three_attempts_queue() {
    holds(queue(&[QUEUE; 3]), 1);
}

#[test]
fn an_attempt_tries_while_two_queue() {
    holds(queue(&[QUEUE, QUEUE, TRY]), 1);
}

#[test]
fn waiters_are_removed_and_queue_again() {
    let queue = Queue {
        leases: 4,
        give_ups: 0,
        ..queue(&[QUEUE; 3])
    };
    holds(queue, 1);
}

#[test]
fn requests_come_late_and_twice() {
    let queue = Queue {
        give_ups: 2,
        duplicates: 1,
        ..queue(&[QUEUE; 2])
    };
    holds(queue, 1);
}

#[test]
fn frozen_holders_write() {
    let queue = Queue {
        writes: true,
        leases: 3,
        ..queue(&[QUEUE; 2])
    };
    holds(queue, 1);
}

#[test]
fn large_sizes() {
    if !crate::large() {
        return;
    }
    let threads = std::thread::available_parallelism().unwrap().get();
    let all = Queue {
        duplicates: 1,
        writes: true,
        ..queue(&[QUEUE, QUEUE, TRY])
    };
    let unanswered = Queue {
        give_ups: 2,
        ..queue(&[QUEUE; 3])
    };
    holds(all, threads);
    holds(unanswered, threads);
}

fn without(defence: Defence, property: &'static str) {
    let queue = Queue {
        give_ups: match defence {
            Defence::Fence => 0,
            Defence::NoLeaseInDoubt => 2,
            _ => 1,
        },
        writes: matches!(defence, Defence::Fence | Defence::Lowest),
        ..queue(&[QUEUE; 3])
    };
    breaks(queue.without(defence), property);
}

#[test]
fn without_a_look_whether_the_lock_is_free_the_model_finds_a_counterexample() {
    without(Defence::NobodyBefore, ONE_BELIEVES);
}

#[test]
fn without_a_look_for_an_earlier_send_the_model_finds_a_counterexample() {
    without(Defence::EarlierSend, ENTRY_IS_THERE);
}

#[test]
fn without_the_comparison_with_the_lowest_the_model_finds_a_counterexample() {
    for property in [ONE_BELIEVES, ONE_HOLDS, TOKENS_RISE, NEVER_FENCED_OFF] {
        without(Defence::Lowest, property);
    }
}

#[test]
fn without_the_recheck_of_the_own_entry_the_model_finds_a_counterexample() {
    without(Defence::OwnEntryUnchanged, ENTRY_IS_THERE);
}

#[test]
fn without_the_comparison_of_the_heads_modification_the_model_finds_a_counterexample() {
    without(Defence::HeadUnchanged, ONE_BELIEVES);
    without(Defence::HeadUnchanged, OWN_ENTRY_ONLY);
}

#[test]
fn without_word_to_a_waiter_that_was_removed_the_model_finds_a_counterexample() {
    without(Defence::GoneIsTold, NO_DEADLOCK);
}

#[test]
fn without_the_revocation_of_leases_in_doubt_the_model_finds_a_counterexample() {
    without(Defence::NoLeaseInDoubt, ENTRY_IS_THERE);
    without(Defence::NoLeaseInDoubt, NO_ORPHAN);
}

#[test]
fn without_the_deadline_before_the_end_of_the_lease_the_model_finds_a_counterexample() {
    without(Defence::DeadlineFirst, ONE_BELIEVES);
}

#[test]
fn without_the_fence_the_model_finds_a_counterexample() {
    without(Defence::Fence, NO_STALE_EFFECT);
}

/// Only a request that comes twice meets the lease's next attempt: one without an answer ends the lease.
#[test]
fn without_the_comparison_in_a_release_the_model_finds_a_counterexample() {
    let queue = Queue {
        duplicates: 1,
        ..queue(&[QUEUE; 2])
    };
    breaks(queue.without(Defence::OwnEntryOnly), OWN_ENTRY_ONLY);
}

#[test]
fn without_the_comparison_of_the_id_the_model_finds_a_counterexample() {
    let queue = Queue {
        duplicates: 1,
        ..queue(&[QUEUE; 2])
    };
    breaks(queue.without(Defence::OwnId), OWN_ENTRY_ONLY);
}
