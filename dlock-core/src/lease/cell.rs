use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::sync::{AtomicBool, AtomicU8, AtomicU64, Mutex, Ordering, lock};
use crate::error::{Ended, LossCause};
use crate::store::StoreError;
use crate::{AttemptId, FencingToken, Grant, Instant, LockName, Observation, Observer};

#[cfg(all(test, dlock_loom))]
#[path = "loom_tests.rs"]
mod loom_tests;

/// What guard, scheduler, drop and store share of one lease.
///
/// # How it works
///
/// `check()` is the hot path: two atomic loads. Everything that ends a lease goes through the mutex
/// and happens once: the first [`LeaseCell::end`] wins, whoever calls it. Ending and cleaning up
/// are separate, because the store may report a loss on a thread that must not spawn: whoever first
/// gets `true` from [`LeaseCell::take_cleanup`] releases the grant, exactly once.
///
/// Orders: the deadline is written before `life` becomes `Live` (release) and read after it
/// (acquire); `life` becomes `Ended` inside the mutex before the wakers are taken, and a waiter
/// registers inside the mutex after looking: no wakeup is lost.
pub(crate) struct LeaseCell {
    life: AtomicU8,
    /// Nanoseconds on the runtime's clock. Only rises (R6).
    deadline: AtomicU64,
    /// From when on the lease counts as suspended without further notice.
    overdue_at: AtomicU64,
    failing: AtomicBool,
    /// The latest instant until which some request of ours may make the store keep the lock.
    kept_until: AtomicU64,
    inner: Mutex<Inner>,
    observed: Option<Observed>,
}

/// Who hears of this lease, and what it is.
pub(crate) struct Observed {
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) acquisition: u64,
    pub(crate) name: LockName,
    pub(crate) id: AttemptId,
    pub(crate) ttl: Duration,
}

#[derive(Default)]
struct Inner {
    token: Option<FencingToken>,
    /// The newest loss that the store reported, perhaps before it returned the grant.
    lost: Option<FencingToken>,
    /// Why the last renewal was refused.
    refusal: Option<Arc<StoreError>>,
    ended: Option<Ended>,
    cleanup_taken: bool,
    /// Only the guard cleans up, when it is dropped (R12).
    cleanup_by_guard: bool,
    waiters: Vec<(u64, Waker)>,
    next_waiter: u64,
}

/// Where a lease stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// Not granted yet.
    Pending,
    /// Granted and not ended.
    Live,
    /// Released or lost.
    Ended,
}

const PENDING: u8 = 0;
const LIVE: u8 = 1;
const ENDED: u8 = 2;

impl LeaseCell {
    pub(crate) fn pending() -> Self {
        Self {
            life: AtomicU8::new(PENDING),
            deadline: AtomicU64::new(0),
            overdue_at: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            kept_until: AtomicU64::new(0),
            inner: Mutex::new(Inner::default()),
            observed: None,
        }
    }

    /// A pending one of which somebody hears.
    pub(crate) fn observed(observed: Option<Observed>) -> Self {
        Self {
            observed,
            ..Self::pending()
        }
    }

    /// The attempt was granted. `false` when the store has reported the loss of this very grant
    /// already: the lease is then ended.
    pub(crate) fn activate(
        &self,
        token: FencingToken,
        deadline: Instant,
        overdue_at: Instant,
    ) -> bool {
        let mut inner = lock(&self.inner);
        inner.token = Some(token);
        self.deadline.store(deadline.as_nanos(), Ordering::Relaxed);
        self.overdue_at
            .store(overdue_at.as_nanos(), Ordering::Relaxed);
        if inner.lost == Some(token) {
            self.end_locked(&mut inner, Ended::Lost(LossCause::NotOwner));
            return false;
        }
        self.life.store(LIVE, Ordering::Release);
        self.tell(&inner, |observed, grant| Observation::Granted {
            acquisition: observed.acquisition,
            name: &observed.name,
            grant,
            ttl: observed.ttl,
            deadline,
        });
        true
    }

    pub(crate) fn life(&self) -> Life {
        match self.life.load(Ordering::Acquire) {
            PENDING => Life::Pending,
            LIVE => Life::Live,
            _ => Life::Ended,
        }
    }

    /// R7: whether the lease is ours at `now`, without network and without a lock.
    pub(crate) fn is_ours(&self, now: Instant) -> bool {
        self.life() == Life::Live && now < self.deadline()
    }

    pub(crate) fn deadline(&self) -> Instant {
        Instant::from_nanos(self.deadline.load(Ordering::Acquire))
    }

    /// R15: renewal is failing, or should have been answered by now.
    pub(crate) fn is_suspended(&self, now: Instant) -> bool {
        self.failing.load(Ordering::Acquire)
            || now.as_nanos() >= self.overdue_at.load(Ordering::Acquire)
    }

    /// R7: `is_ours`, and when it is not, the lease is over for good: nothing that was on its way
    /// makes a later look succeed (R6).
    pub(crate) fn is_ours_or_over(&self, now: Instant) -> bool {
        if self.is_ours(now) {
            return true;
        }
        let mut inner = lock(&self.inner);
        if inner.ended.is_some() || self.life() != Life::Live {
            return false;
        }
        if now < self.deadline() {
            return true;
        }
        let cause = match (inner.refusal.take(), self.failing.load(Ordering::Acquire)) {
            (Some(refusal), _) => LossCause::Store(refusal),
            (None, true) => LossCause::Unreachable,
            (None, false) => LossCause::Expired,
        };
        let waiters = self.end_locked(&mut inner, Ended::Lost(cause));
        drop(inner);
        wake(waiters);
        false
    }

    /// A request leaves that may make the store keep the lock until then.
    pub(crate) fn sending(&self, kept_until: Instant) {
        self.kept_until
            .fetch_max(kept_until.as_nanos(), Ordering::AcqRel);
    }

    /// The same for a renewal, which leaves only while the lease lives: whoever ends it knows of all
    /// that were sent.
    pub(crate) fn renewing(&self, kept_until: Instant) -> bool {
        let inner = lock(&self.inner);
        let live = inner.ended.is_none();
        if live {
            self.sending(kept_until);
        }
        live
    }

    /// When the store has let go by itself, whatever became of our requests (R3).
    pub(crate) fn kept_until(&self) -> Instant {
        Instant::from_nanos(self.kept_until.load(Ordering::Acquire))
    }

    /// The lease lasts longer. Renewal and `extend` may both say so at once; the later one counts.
    /// Inside the mutex, because an ended lease stays as it was.
    pub(crate) fn advance(&self, deadline: Instant, overdue_at: Instant) {
        let mut inner = lock(&self.inner);
        if inner.ended.is_some() {
            return;
        }
        inner.refusal = None;
        let before = self
            .deadline
            .fetch_max(deadline.as_nanos(), Ordering::AcqRel);
        if before < deadline.as_nanos() {
            self.tell(&inner, |observed, grant| Observation::Extended {
                name: &observed.name,
                grant,
                deadline,
            });
        }
        self.overdue_at
            .store(overdue_at.as_nanos(), Ordering::Release);
        self.failing.store(false, Ordering::Release);
    }

    /// A renewal failed; `refusal`: the store's own word against it.
    pub(crate) fn set_failing(&self, refusal: Option<Arc<StoreError>>) {
        lock(&self.inner).refusal = refusal;
        self.failing.store(true, Ordering::Release);
    }

    pub(crate) fn refusal(&self) -> Option<Arc<StoreError>> {
        lock(&self.inner).refusal.clone()
    }

    /// Ends the lease; `false` when it had ended before.
    pub(crate) fn end(&self, how: Ended) -> bool {
        let mut inner = lock(&self.inner);
        if inner.ended.is_some() {
            return false;
        }
        let waiters = self.end_locked(&mut inner, how);
        drop(inner);
        wake(waiters);
        true
    }

    /// The store says that the grant with this token is gone. Before the grant arrived it is kept
    /// in mind; for another token it means nothing.
    pub(crate) fn report_loss(&self, token: FencingToken) {
        let mut inner = lock(&self.inner);
        inner.lost = inner.lost.max(Some(token));
        if inner.token != Some(token) || inner.ended.is_some() {
            return;
        }
        let waiters = self.end_locked(&mut inner, Ended::Lost(LossCause::NotOwner));
        drop(inner);
        wake(waiters);
    }

    /// `true` once: the caller, a guard, sees to it that the grant is released.
    pub(crate) fn take_cleanup(&self) -> bool {
        !std::mem::replace(&mut lock(&self.inner).cleanup_taken, true)
    }

    /// The same for whoever found the lease lost, while the guard may be in use still.
    pub(crate) fn take_cleanup_after_loss(&self) -> bool {
        let mut inner = lock(&self.inner);
        !inner.cleanup_by_guard && !std::mem::replace(&mut inner.cleanup_taken, true)
    }

    /// R12: a loss starts no release; the guard's drop does, after the body.
    pub(crate) fn leave_cleanup_to_guard(&self) {
        lock(&self.inner).cleanup_by_guard = true;
    }

    /// Has every waiter look again.
    pub(crate) fn nudge_waiters(&self) {
        let waiters = std::mem::take(&mut lock(&self.inner).waiters);
        wake(waiters);
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        lock(&self.inner).ended.clone()
    }

    fn tell<'a>(
        &'a self,
        inner: &Inner,
        what: impl FnOnce(&'a Observed, Grant) -> Observation<'a>,
    ) {
        if let (Some(observed), Some(token)) = (&self.observed, inner.token) {
            let grant = Grant {
                id: observed.id,
                token,
            };
            observed.observer.observe(what(observed, grant));
        }
    }

    fn end_locked(&self, inner: &mut Inner, how: Ended) -> Vec<(u64, Waker)> {
        // A grant that was lost before it was handed out was never anybody's.
        if self.life() == Life::Live {
            self.tell(inner, |observed, grant| Observation::Ended {
                name: &observed.name,
                grant,
                how: &how,
            });
        }
        inner.ended = Some(how);
        self.life.store(ENDED, Ordering::Release);
        std::mem::take(&mut inner.waiters)
    }
}

/// Outside the mutex: a waker may run anything.
fn wake(waiters: Vec<(u64, Waker)>) {
    waiters.into_iter().for_each(|(_, waker)| waker.wake());
}

/// One waiter's entry; leaves the list when dropped.
pub(crate) struct EndedWaiter<'a> {
    cell: &'a LeaseCell,
    key: Option<u64>,
}

impl<'a> EndedWaiter<'a> {
    pub(crate) fn new(cell: &'a LeaseCell) -> Self {
        Self { cell, key: None }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let mut inner = lock(&self.cell.inner);
        if let Some(ended) = &inner.ended {
            return Poll::Ready(ended.clone());
        }
        let waker = cx.waker().clone();
        let entry = self
            .key
            .and_then(|key| inner.waiters.iter_mut().find(|(k, _)| *k == key));
        let replaced = match entry {
            Some((_, old)) => Some(std::mem::replace(old, waker)),
            None => {
                let key = inner.next_waiter;
                inner.next_waiter += 1;
                inner.waiters.push((key, waker));
                self.key = Some(key);
                None
            }
        };
        // A waker may own anything, a guard of this very lease included: dropped outside the lock.
        drop(inner);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for EndedWaiter<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut inner = lock(&self.cell.inner);
        let left = inner
            .waiters
            .iter()
            .position(|(k, _)| *k == key)
            .map(|at| inner.waiters.swap_remove(at));
        drop(inner);
        drop(left);
    }
}
