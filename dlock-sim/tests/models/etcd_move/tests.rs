use super::model::{ENTRY_IS_THERE, LASTS};
use super::{Defence, Move};
use crate::check::{breaks, holds};

fn of_one_process() -> Move {
    Move {
        give_ups: 2,
        elsewhere: false,
        without: None,
    }
}

#[test]
fn a_holder_moves_its_entry() {
    holds(of_one_process(), 1);
}

fn without(defence: Defence) {
    let model = Move {
        without: Some(defence),
        ..of_one_process()
    };
    breaks(model, ENTRY_IS_THERE);
}

#[test]
fn without_the_comparison_of_the_modification_the_model_finds_a_counterexample() {
    without(Defence::Unchanged);
}

#[test]
fn without_a_look_at_what_is_left_the_model_finds_a_counterexample() {
    without(Defence::NeverShorter);
}

#[test]
fn without_memory_of_a_doubt_the_model_finds_a_counterexample() {
    without(Defence::DoubtRemembered);
}

/// What `dlock-etcd` does today: an `extend` to a shorter TTL after one whose answer was lost.
#[test]
fn without_a_look_at_what_is_left_in_doubt_the_model_finds_a_counterexample() {
    without(Defence::NeverShorterInDoubt);
}

/// What `dlock-etcd` does today: a keepalive does not change the entry, so that no comparison tells another
/// process of one that came after its look.
#[test]
fn an_extension_elsewhere_may_shorten_what_a_keepalive_has_just_lengthened() {
    let model = Move {
        give_ups: 0,
        elsewhere: true,
        ..of_one_process()
    };
    breaks(model.clone(), LASTS);
    breaks(model, ENTRY_IS_THERE);
}
