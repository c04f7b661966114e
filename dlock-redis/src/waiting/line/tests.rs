use std::num::NonZeroU64;

use dlock_core::conformance::VirtualRuntime;
use dlock_core::store::Mode;
use dlock_core::{FencingToken, Grant, LockName};

use futures_util::FutureExt;

use super::*;
use crate::trail::Sending;
use crate::waiting::{Posted, Pushes, Waiting};

const TIMEOUT: Duration = Duration::from_secs(2);
const LOOKS: Looks = Looks {
    pushes: Pushes::Yes,
    random: 0,
};

fn id(bits: u128) -> AttemptId {
    AttemptId::from_bits(bits)
}

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

/// The attempts 1, 2 and 3; the first has asked at 0 and found the lock held.
fn line() -> Line {
    let mut line = Line::new("p:1".to_owned(), at(0));
    let ask = asks(&mut line, 1, 0);
    for waiting in [2, 3] {
        waits(&mut line, waiting, 0);
    }
    line.answered(id(1), &ask, &busy(), LOOKS, at(1));
    line
}

fn request(who: u128) -> AttemptRequest {
    let name = LockName::new("name").unwrap();
    AttemptRequest::new(name, id(who), Duration::from_secs(30), Mode::Queue)
}

fn asks(line: &mut Line, who: u128, ms: u64) -> Ask {
    match line.turn(&request(who), at(ms), TIMEOUT) {
        Turn::Ask(ask, _) => ask,
        turn => panic!("{who} does not ask at {ms} ms: {turn:?}"),
    }
}

/// Asks, and gets no answer.
fn fails(line: &mut Line, who: u128, meaning: Meaning, ms: u64) {
    let ask = asks(line, who, ms);
    let sending = Sending::over(&request_of(line, who).trail, NonZeroU64::new(1));
    line.failed(id(who), &ask, meaning, at(ms));
    if meaning != Meaning::Indeterminate {
        sending.settled();
    }
}

fn request_of(line: &Line, who: u128) -> AttemptRequest {
    let at = line.position(id(who)).expect("it is in line");
    line.waiters[at].request.clone()
}

fn waits(line: &mut Line, who: u128, ms: u64) {
    let turn = line.turn(&request(who), at(ms), TIMEOUT);
    assert!(matches!(turn, Turn::Wait(_)), "{turn:?}");
}

fn busy() -> Answer {
    Answer::Busy {
        held_by: HeldBy::default(),
        rank: Some(0),
    }
}

fn granted(who: u128, rank: Option<u32>) -> Answer {
    let token = FencingToken::new(1).unwrap();
    Answer::Granted {
        grant: Grant { id: id(who), token },
        ttl: Duration::from_secs(30),
        rank,
    }
}

#[test]
fn one_after_the_other_and_the_entry_stays_for_the_rest() {
    let mut line = line();
    for (who, stays) in [(1, true), (2, true), (3, false)] {
        line.hint(at(10 * who as u64));
        let ask = asks(&mut line, who, 10 * who as u64);
        assert_eq!(ask.stays, stays);
        line.answered(
            id(who),
            &ask,
            &granted(who, stays.then_some(0)),
            LOOKS,
            at(10 * who as u64 + 1),
        );
    }
    assert!(line.is_unused());
}

#[test]
fn a_wakeup_that_comes_before_the_answer_is_not_lost() {
    let mut line = line();
    line.hint(at(10));
    let ask = asks(&mut line, 1, 10);
    line.hint(at(11));
    line.answered(id(1), &ask, &busy(), LOOKS, at(12));
    assert_eq!(line.due(id(1)), Some(at(11)));
}

#[test]
fn one_that_is_stuck_comes_back_to_the_end() {
    let mut line = line();
    line.hint(at(10));
    waits(&mut line, 2, 10);
    assert_eq!(line.due(id(2)), Some(at(10) + PATIENCE));
    let ask = asks(&mut line, 2, 260);
    line.answered(id(2), &ask, &granted(2, Some(0)), LOOKS, at(261));
    waits(&mut line, 1, 262);
    assert!(line.due(id(3)) < line.due(id(1)));
}

#[test]
fn one_that_leaves_with_a_wakeup_passes_it_on() {
    let mut line = line();
    line.hint(at(10));
    let _ = asks(&mut line, 1, 10);
    let parting = line.part(id(1), "p:2".to_owned(), at(11));
    assert_eq!(parting.leaving, None);
    assert_eq!(line.due(id(2)), Some(at(11)));
}

#[test]
fn the_last_one_to_leave_takes_the_entry_out_and_who_comes_next_has_another() {
    let mut line = line();
    assert!(line.part(id(2), "p:2".to_owned(), at(10)).nothing_there);
    line.part(id(1), "p:3".to_owned(), at(10));
    let parting = line.part(id(3), "p:4".to_owned(), at(10));
    assert_eq!(parting.leaving.as_deref(), Some("p:1"));
    assert_eq!(asks(&mut line, 4, 11).entry, "p:4");
    assert!(!line.is_unused());
}

#[test]
fn while_answers_fail_everybody_asks_for_himself() {
    let mut line = line();
    line.hint(at(10));
    fails(&mut line, 1, Meaning::Indeterminate, 10);
    waits(&mut line, 3, 20);
    fails(&mut line, 1, Meaning::Indeterminate, 20);
    let ask = asks(&mut line, 3, 20);
    assert!(!ask.confirmed);
    line.answered(id(3), &ask, &busy(), LOOKS, at(21));
    waits(&mut line, 2, 22);
}

fn waiting() -> Arc<Waiting> {
    Waiting::new(Arc::new(VirtualRuntime::new(7)), TIMEOUT)
}

fn parcel(waiting: &Waiting, token: u64) -> (Parcel, Posted<'_>) {
    let token = FencingToken::new(token).unwrap();
    Posted::new(waiting, "lock", Grant { id: id(9), token })
}

#[test]
fn the_first_in_line_takes_a_release_along() {
    let waiting = waiting();
    let mut line = line();
    let _place = line.wakeup(id(1));
    let (one, mut posted) = parcel(&waiting, 1);
    assert!(line.takes_a_release());
    line.post(one, at(10));
    assert!(!line.takes_a_release(), "one at a time");
    assert_eq!(line.due(id(1)), Some(at(10)));
    let Turn::Ask(ask, Some(taken)) = line.turn(&request(1), at(10), TIMEOUT) else {
        panic!("it asks, with the release");
    };
    assert!(ask.stays && taken.grant.token.value() == 1);
    assert!(!posted.is_over());
    drop(taken);
    assert!(posted.is_over());
}

#[test]
fn a_release_is_left_for_one_that_waits_in_its_place_and_for_nobody_else() {
    let waiting = waiting();
    let mut line = Line::new("p:1".to_owned(), at(0));
    assert!(!line.takes_a_release(), "nobody is there");
    let ask = asks(&mut line, 1, 0);
    let place = line.wakeup(id(1));
    assert!(!line.takes_a_release(), "it is asking");
    line.answered(id(1), &ask, &busy(), LOOKS, at(1));
    drop(place);
    assert!(!line.takes_a_release(), "its future is gone");
    let _place = line.wakeup(id(1));
    line.failures = 1;
    assert!(!line.takes_a_release(), "the server does not answer");
    line.failures = 0;
    let (one, _posted) = parcel(&waiting, 1);
    let grant = one.grant;
    assert!(line.takes_a_release());
    line.post(one, at(1));
    line.take_back(Grant { id: id(8), ..grant });
    assert!(line.parcel.is_some(), "another's");
    line.take_back(grant);
    assert!(line.parcel.is_none());
}

#[test]
fn a_release_that_nobody_is_left_to_take_comes_back() {
    let waiting = waiting();
    let mut line = Line::new("p:1".to_owned(), at(0));
    let ask = asks(&mut line, 1, 0);
    line.answered(id(1), &ask, &busy(), LOOKS, at(1));
    let _place = line.wakeup(id(1));
    let (one, mut posted) = parcel(&waiting, 1);
    assert!(line.takes_a_release());
    line.post(one, at(1));
    line.part(id(1), "p:2".to_owned(), at(2));
    line.return_parcel();
    assert!(posted.is_over());
}

#[test]
fn one_that_perhaps_has_the_lock_asks_and_does_not_wait_behind_others() {
    let mut line = line();
    line.hint(at(10));
    fails(&mut line, 1, Meaning::Indeterminate, 10);
    fails(&mut line, 1, Meaning::Indeterminate, 20);
    fails(&mut line, 2, Meaning::Indeterminate, 30);
    let ask = asks(&mut line, 1, 31);
    line.answered(id(1), &ask, &busy(), LOOKS, at(32));
    asks(&mut line, 2, 33);
    waits(&mut line, 3, 33);
}

#[test]
fn one_whose_request_may_still_arrive_is_released_at_the_server() {
    let mut line = line();
    line.failures = 2;
    let late = request(4);
    let ask = match line.turn(&late, at(21), TIMEOUT) {
        Turn::Ask(ask, _) => ask,
        turn => panic!("{turn:?}"),
    };
    let _ = Sending::over(&late.trail, NonZeroU64::new(1));
    line.failed(id(4), &ask, Meaning::Indeterminate, at(30));
    let Turn::Ask(ask, _) = line.turn(&late, at(31), TIMEOUT) else {
        panic!("it asks again");
    };
    line.failed(id(4), &ask, Meaning::Unavailable, at(41));
    let ask = asks(&mut line, 1, 45);
    line.answered(id(1), &ask, &busy(), LOOKS, at(46));
    assert!(!line.part(id(4), "p:2".to_owned(), at(60)).nothing_there);
}

#[test]
fn nothing_is_kept_of_an_attempt_that_could_not_be_sent() {
    for meaning in [Meaning::Unavailable, Meaning::Rejected] {
        let mut line = Line::new("p:1".to_owned(), at(0));
        let ask = asks(&mut line, 1, 0);
        line.failed(id(1), &ask, meaning, at(1));
        assert!(line.is_unused());
    }
}

#[test]
fn an_entry_that_a_later_answer_shows_is_taken_out_in_the_end() {
    let mut line = Line::new("p:1".to_owned(), at(0));
    line.failures = 2;
    let one = asks(&mut line, 1, 2);
    let two = asks(&mut line, 2, 3);
    line.answered(id(1), &one, &granted(1, None), LOOKS, at(4));
    line.answered(id(2), &two, &busy(), LOOKS, at(5));
    let parting = line.part(id(2), "p:2".to_owned(), at(6));
    assert_eq!(parting.leaving.as_deref(), Some("p:1"));
}

#[test]
fn one_that_is_passed_over_and_gives_no_sign_is_forgotten() {
    let mut line = line();
    let ask = asks(&mut line, 3, 60_000);
    assert!(!ask.stays);
    line.answered(id(3), &ask, &busy(), LOOKS, at(60_001));
    assert_eq!(line.due(id(1)), None, "should it live, it asks at once");
    waits(&mut line, 1, 60_002);
}

#[test]
fn one_that_has_not_heard_its_answer_is_released_at_the_server() {
    let mut line = line();
    line.hint(at(10));
    let _ = asks(&mut line, 1, 10);
    // Its trail is clean: its releaser has read the answer.
    let parting = line.part(id(1), "p:2".to_owned(), at(11));
    assert!(!parting.nothing_there);
}

#[test]
fn one_that_was_passed_over_while_it_asked_asks_again_when_it_comes_back() {
    let mut line = line();
    line.hint(at(10));
    let _ = asks(&mut line, 1, 10);
    let ask = asks(&mut line, 2, 60_000);
    line.answered(id(2), &ask, &busy(), LOOKS, at(60_001));
    asks(&mut line, 1, 60_002);
}

#[test]
fn only_the_first_in_line_takes_a_release_along() {
    let waiting = waiting();
    let mut line = line();
    let _place = line.wakeup(id(1));
    let (one, _posted) = parcel(&waiting, 1);
    assert!(line.takes_a_release());
    line.post(one, at(10));
    line.failures = 2;
    let Turn::Ask(_, None) = line.turn(&request(2), at(10), TIMEOUT) else {
        panic!("it asks for itself");
    };
}

#[test]
fn whoever_is_next_looks_when_the_first_leaves_that_was_to_look() {
    let mut line = line();
    line.hint(at(10));
    let wakeup = line.wakeup(id(2)).unwrap();
    while wakeup.notified().now_or_never().is_some() {}
    line.part(id(1), "p:2".to_owned(), at(11));
    assert_eq!(line.due(id(2)), Some(at(10)));
    assert!(wakeup.notified().now_or_never().is_some(), "it is told");
}
