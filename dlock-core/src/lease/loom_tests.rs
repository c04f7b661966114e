//! Every interleaving of guard, scheduler, drop and store on one [`LeaseCell`], by loom. A child of
//! `cell`, because the seeded bugs reach into it.
//!
//! Run with `RUSTFLAGS="--cfg dlock_loom"`; each test prints how many executions were explored. The
//! last two seed an ordering bug and expect loom to find it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Count, Ordering::Relaxed};
use std::task::{Context, Wake, Waker};

use loom::thread;

use super::{EndedWaiter, LeaseCell, Life};
use crate::error::{Ended, LossCause};
use crate::lease::sync::{Ordering, lock};
use crate::{FencingToken, Instant};

/// Explores every interleaving of `scenario`; returns the number of executions.
fn explore(name: &str, scenario: impl Fn() + Send + Sync + 'static) -> u64 {
    let executions = Arc::new(Count::new(0));
    let counter = executions.clone();
    loom::model(move || {
        counter.fetch_add(1, Relaxed);
        scenario();
    });
    let executions = executions.load(Relaxed);
    println!("loom {name}: {executions} executions explored");
    assert!(executions > 1, "nothing was interleaved");
    executions
}

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn token() -> FencingToken {
    FencingToken::new(7).unwrap()
}

fn live() -> loom::sync::Arc<LeaseCell> {
    let cell = loom::sync::Arc::new(LeaseCell::pending());
    assert!(cell.activate(token(), at(100), at(90)));
    cell
}

fn lost() -> Ended {
    Ended::Lost(LossCause::Expired)
}

/// Release by the guard, loss by the scheduler, loss by the store: one of them ends the lease, and
/// exactly one sees to the clean-up.
#[test]
fn loom_one_end_and_one_clean_up() {
    explore("one end, one clean-up", || {
        let cell = live();
        let scheduler = thread::spawn({
            let cell = cell.clone();
            move || (cell.end(lost()), cell.take_cleanup())
        });
        let store = thread::spawn({
            let cell = cell.clone();
            move || cell.report_loss(token())
        });
        let (guard_ended, guard_cleans) = (cell.end(Ended::Released), cell.take_cleanup());
        let (scheduler_ended, scheduler_cleans) = scheduler.join().unwrap();
        store.join().unwrap();
        assert!(!(guard_ended && scheduler_ended), "the lease ended twice");
        assert!(
            guard_cleans ^ scheduler_cleans,
            "the clean-up is done exactly once"
        );
        assert_eq!(cell.life(), Life::Ended);
        assert!(!cell.is_ours(at(0)));
    });
}

/// The store reports the loss while the grant is on its way: whichever comes first, the lease is lost.
#[test]
fn loom_an_early_loss_report_is_not_missed() {
    explore("early loss report", || {
        let cell = loom::sync::Arc::new(LeaseCell::pending());
        let store = thread::spawn({
            let cell = cell.clone();
            move || cell.report_loss(token())
        });
        cell.activate(token(), at(100), at(90));
        store.join().unwrap();
        assert!(matches!(
            cell.ended(),
            Some(Ended::Lost(LossCause::NotOwner))
        ));
        assert!(!cell.is_ours(at(0)));
    });
}

/// A reader that sees the lease alive sees its deadline too (R7), and a renewal and an extend at
/// the same time leave the later deadline (R6).
#[test]
fn loom_the_deadline_is_published_and_only_rises() {
    explore("deadline", || {
        let cell = loom::sync::Arc::new(LeaseCell::pending());
        let reader = thread::spawn({
            let cell = cell.clone();
            move || {
                if cell.life() == Life::Live {
                    assert!(cell.deadline() >= at(100), "alive without a deadline");
                }
            }
        });
        cell.activate(token(), at(100), at(90));
        let extend = thread::spawn({
            let cell = cell.clone();
            move || cell.advance(at(600), at(590))
        });
        cell.advance(at(200), at(190));
        extend.join().unwrap();
        reader.join().unwrap();
        assert_eq!(cell.deadline(), at(600));
    });
}

/// A renewal that is answered while the guard is dropped revives nothing.
#[test]
fn loom_an_ended_lease_stays_ended() {
    explore("ended stays ended", || {
        let cell = live();
        let scheduler = thread::spawn({
            let cell = cell.clone();
            move || {
                let before = cell.is_ours(at(150));
                cell.advance(at(600), at(590));
                let after = cell.is_ours(at(0));
                assert!(!before, "the deadline has passed");
                let later = cell.is_ours(at(0));
                assert!(after || !later, "the lease came back");
            }
        });
        cell.end(Ended::Released);
        assert!(!cell.is_ours(at(0)));
        scheduler.join().unwrap();
        assert!(!cell.is_ours(at(0)));
    });
}

/// Whoever waits for the end is woken, wherever the end comes.
#[test]
fn loom_the_end_wakes_every_waiter() {
    explore("wakeup", || {
        let cell = live();
        let ender = thread::spawn({
            let cell = cell.clone();
            move || cell.end(lost())
        });
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        let mut waiter = EndedWaiter::new(&cell);
        let first_look = waiter.poll(&mut Context::from_waker(&waker));
        ender.join().unwrap();
        assert!(
            first_look.is_ready() || bell.rung.load(Relaxed) > 0,
            "the wakeup was lost"
        );
        assert!(waiter.poll(&mut Context::from_waker(&waker)).is_ready());
    });
}

/// Seeded bug: looking first and registering afterwards, without the mutex around both.
#[test]
fn loom_finds_a_seeded_lost_wakeup() {
    finds_the_bug("seeded lost wakeup", || {
        let cell = live();
        let ender = thread::spawn({
            let cell = cell.clone();
            move || cell.end(lost())
        });
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        let ended_at_look = cell.ended().is_some();
        let mut waiter = EndedWaiter::new(&cell);
        waiter.register_without_looking(&waker);
        ender.join().unwrap();
        assert!(
            ended_at_look || bell.rung.load(Relaxed) > 0,
            "the wakeup was lost"
        );
    });
}

/// Seeded bug: the deadline is read, compared and stored in separate steps.
#[test]
fn loom_finds_a_seeded_deadline_race() {
    finds_the_bug("seeded deadline race", || {
        let cell = live();
        let extend = thread::spawn({
            let cell = cell.clone();
            move || cell.advance_in_two_steps(at(600))
        });
        cell.advance_in_two_steps(at(200));
        extend.join().unwrap();
        assert_eq!(cell.deadline(), at(600));
    });
}

fn finds_the_bug(name: &str, scenario: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(Count::new(0));
    let counter = executions.clone();
    let found = catch_unwind(AssertUnwindSafe(|| {
        loom::model(move || {
            counter.fetch_add(1, Relaxed);
            scenario();
        });
    }));
    println!(
        "loom {name}: found in execution {}",
        executions.load(Relaxed)
    );
    assert!(found.is_err(), "loom did not find the seeded bug");
}

#[derive(Default)]
struct Bell {
    rung: Count,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.fetch_add(1, Relaxed);
    }
}

impl LeaseCell {
    fn advance_in_two_steps(&self, deadline: Instant) {
        if deadline > self.deadline() {
            self.deadline.store(deadline.as_nanos(), Ordering::Release);
        }
    }
}

impl EndedWaiter<'_> {
    /// What `poll` would be without the look inside the mutex.
    fn register_without_looking(&mut self, waker: &Waker) {
        lock(&self.cell.inner).waiters.push((0, waker.clone()));
    }
}
