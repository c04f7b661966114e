//! The way of one acquisition: ask, wait, ask again with the same id, until a grant with enough
//! time left, or the end of the budget.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use super::RetryPolicy;
use super::builder::LockBuilder;
use super::guard::Guard;
use super::inner::{Inner, after, unanswered};
use super::lease::Lease;
use super::scheduler::{Held, counted_from};
use crate::error::{AcquireError, InvalidRequest};
use crate::lease::{LeaseCell, LeaseMachine, Observed};
use crate::runtime::{Race, race, sleep_until, timeout};
use crate::store::{
    Attempt, AttemptRequest, Expiry, Granted, HeldBy, Mode, Place, Release, Renewal, Renewed,
    StoreError, Trail,
};
use crate::{AttemptId, Grant, Instant, LockName, Observation};

/// Somebody else has the lock.
pub(super) struct Busy {
    pub(super) name: LockName,
    pub(super) waited: Duration,
    pub(super) attempts: u32,
    pub(super) held_by: HeldBy,
}

pub(super) async fn acquire(
    lock: &LockBuilder,
    mode: Mode,
) -> Result<Result<Guard, Busy>, AcquireError> {
    let name = lock.name.clone()?;
    let ttl = lock.inner.effective_ttl(lock.ttl)?;
    check_waiting(lock, mode)?;
    lock.inner.runtime.ready()?;
    // `close` waits for us, and ends our waiting: nothing is granted behind its back (R13). So we
    // are counted before we look whether it was called.
    let _counted = lock.inner.background.acquiring();
    if lock.inner.is_closed() {
        return Err(AcquireError::Closed);
    }
    let told = Told::acquiring(lock, mode, &name);
    let acquisition = told.acquisition;
    let span = tracing::debug_span!("acquire", lock = %name, ?ttl, ?mode);
    let asking = Acquisition::new(lock, mode, name, ttl, acquisition)
        .run()
        .instrument(span);
    let outcome = match race(asking, lock.inner.closing()).await {
        Race::First(outcome) => outcome,
        Race::Second(()) => Err(AcquireError::Closed),
    };
    told.ended(&outcome);
    outcome
}

/// Tells the observer how an acquisition ends, also when it is dropped.
struct Told<'a> {
    lock: &'a LockBuilder,
    name: LockName,
    acquisition: u64,
    over: bool,
}

impl<'a> Told<'a> {
    fn acquiring(lock: &'a LockBuilder, mode: Mode, name: &LockName) -> Self {
        let acquisition = lock.inner.next_acquisition();
        if let Some(observer) = &lock.inner.observer {
            observer.observe(Observation::Acquiring {
                acquisition,
                name,
                trying: mode == Mode::Try,
                wait: lock.wait,
            });
        }
        Self {
            lock,
            name: name.clone(),
            acquisition,
            over: false,
        }
    }

    /// A grant was told when its lease began.
    fn ended(mut self, outcome: &Result<Result<Guard, Busy>, AcquireError>) {
        self.over = true;
        let error = match outcome {
            Ok(Ok(_)) => return,
            Ok(Err(_)) => None,
            Err(error) => Some(error),
        };
        if let Some(observer) = &self.lock.inner.observer {
            observer.observe(Observation::NotGranted {
                acquisition: self.acquisition,
                name: &self.name,
                error,
            });
        }
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if let (false, Some(observer)) = (self.over, &self.lock.inner.observer) {
            observer.observe(Observation::Abandoned {
                acquisition: self.acquisition,
                name: &self.name,
            });
        }
    }
}

fn check_waiting(lock: &LockBuilder, mode: Mode) -> Result<(), InvalidRequest> {
    if mode == Mode::Try && (lock.wait.is_some() || lock.retry.is_some()) {
        return Err(InvalidRequest::TryWaits);
    }
    if lock.wait == Some(Duration::ZERO) {
        return Err(InvalidRequest::ZeroWait);
    }
    lock.retry.unwrap_or_default().check(lock.wait)
}

struct Acquisition<'a> {
    lock: &'a LockBuilder,
    inner: &'a Arc<Inner>,
    mode: Mode,
    name: LockName,
    ttl: Duration,
    policy: RetryPolicy,
    started: Instant,
    give_up_at: Instant,
    attempts: u32,
    /// Its number, for the observer.
    number: u64,
    /// Since when the store has only failed.
    failing_since: Option<Instant>,
    /// With what, while a request was not answered.
    unanswered: Option<StoreError>,
    /// Since when grants came too late.
    late_since: Option<Instant>,
    failures: u32,
}

impl<'a> Acquisition<'a> {
    fn new(lock: &'a LockBuilder, mode: Mode, name: LockName, ttl: Duration, number: u64) -> Self {
        let inner = &lock.inner;
        let started = inner.runtime.now();
        let budget = match mode {
            Mode::Try => Some(inner.options.request_timeout),
            Mode::Queue => lock.wait,
        };
        Self {
            lock,
            inner,
            mode,
            name,
            ttl,
            policy: lock.retry.unwrap_or_default(),
            started,
            give_up_at: budget.map_or(Instant::FAR_FUTURE, |budget| started + budget),
            attempts: 0,
            number,
            failing_since: None,
            unanswered: None,
            late_since: None,
            failures: 0,
        }
    }

    async fn run(mut self) -> Result<Result<Guard, Busy>, AcquireError> {
        let mut unclaimed = Unclaimed::new(&self);
        loop {
            match self.ask(&mut unclaimed).await {
                Ok(Attempt::Granted(granted)) => {
                    self.answered();
                    let since = unclaimed.counted_from(granted.expiry);
                    match self
                        .with_enough_time(&mut unclaimed, granted, since)
                        .await?
                    {
                        Some(_) if self.inner.is_closed() => return Err(AcquireError::Closed),
                        Some(machine) => {
                            if let Some(guard) = self.guard(unclaimed, granted.grant, machine) {
                                return Ok(Ok(guard));
                            }
                        }
                        None => self.give_back(&mut unclaimed, granted.grant).await,
                    }
                    // R2: what comes after a grant that was lost or given back is a new attempt.
                    unclaimed = Unclaimed::new(&self);
                    self.pause().await;
                }
                Ok(Attempt::Busy { held_by, place }) => {
                    self.answered();
                    self.late_since = None;
                    unclaimed.answered_busy(place.is_some());
                    if self.mode == Mode::Try
                        || self.out_of_tries()
                        || self.now() >= self.give_up_at
                    {
                        return Ok(Err(self.busy(held_by)));
                    }
                    self.wait(place).await;
                    if self.now() >= self.give_up_at {
                        return Ok(Err(self.busy(held_by)));
                    }
                }
                Err(error) => self.after_failure(error).await?,
            }
        }
    }

    async fn ask(&mut self, unclaimed: &mut Unclaimed) -> Result<Attempt, StoreError> {
        self.attempts = self.attempts.saturating_add(1);
        let now = self.now();
        let limit = self
            .inner
            .options
            .request_timeout
            .min(self.give_up_at.since(now));
        // R1: noted before the request leaves.
        unclaimed.sending(now);
        let answer = match timeout(
            &*self.inner.runtime,
            now + limit,
            self.inner.store.attempt(&unclaimed.request),
        )
        .await
        {
            Ok(answer) => answer,
            Err(_) => Err(unanswered(limit)),
        };
        match &answer {
            Ok(_) | Err(StoreError::Indeterminate { .. }) => {}
            Err(StoreError::Unavailable { .. } | StoreError::Rejected { .. }) => {
                unclaimed.not_applied()
            }
        }
        answer
    }

    /// R8: a guard with too little time left is renewed first, else given back.
    async fn with_enough_time(
        &mut self,
        unclaimed: &mut Unclaimed,
        granted: Granted,
        since: Instant,
    ) -> Result<Option<LeaseMachine>, AcquireError> {
        let terms = self.inner.options.terms;
        let needed = terms
            .validity(self.ttl)
            .mul_f64(self.inner.options.min_validity);
        let mut machine = LeaseMachine::new(terms, since, self.ttl, self.lock.renew);
        if machine.deadline().since(self.now()) >= needed {
            return Ok(Some(machine));
        }
        let sent_at = self.now();
        unclaimed.sending(sent_at);
        let renewal = Renewal::new(self.name.clone(), granted.grant, self.ttl)
            .trailing(unclaimed.request.trail.clone());
        let answer = self.inner.renew_one(renewal, self.give_up_at).await;
        if let Ok(Renewed::Until(expiry)) = answer {
            // A new machine: the store has just confirmed the grant, however late the old one was.
            machine = LeaseMachine::new(
                terms,
                counted_from(expiry, sent_at),
                self.ttl,
                self.lock.renew,
            );
        }
        let left = machine.deadline().since(self.now());
        if left >= needed && matches!(answer, Ok(Renewed::Until(_))) {
            return Ok(Some(machine));
        }
        tracing::debug!(lock = %self.name, ?left, ?needed, "granted too late; given back");
        let now = self.now();
        let late_since = *self.late_since.get_or_insert(now);
        let patience_over =
            self.lock.wait.is_none() && now.since(late_since) >= self.inner.options.outage;
        if self.mode == Mode::Try || now >= self.give_up_at || patience_over || self.out_of_tries()
        {
            return Err(AcquireError::TooSlow {
                name: self.name.clone(),
                left,
                needed,
            });
        }
        Ok(None)
    }

    /// In the foreground, so that the next attempt does not meet this one; what remains undone is
    /// done in the background when `unclaimed` is dropped.
    async fn give_back(&self, unclaimed: &mut Unclaimed, grant: Grant) {
        let release = Release::Grant(grant, unclaimed.request.trail.clone());
        let answer = self
            .inner
            .ask_until(
                self.give_up_at,
                self.inner.store.release(&self.name, &release),
            )
            .await;
        if answer.is_ok_and(|released| released.settled) {
            unclaimed.traces = false;
        }
    }

    /// `None` when the store has reported the loss of this very grant in the meantime.
    fn guard(
        &self,
        mut unclaimed: Unclaimed,
        grant: Grant,
        machine: LeaseMachine,
    ) -> Option<Guard> {
        let cell = unclaimed.cell.clone();
        if !cell.activate(grant.token, machine.deadline(), machine.overdue_at()) {
            return None;
        }
        let trail = unclaimed.claim();
        let held = Held {
            name: self.name.clone(),
            grant,
            trail,
            cell,
        };
        let waited = self.now().since(self.started);
        tracing::debug!(lock = %self.name, token = %grant.token, ?waited, attempts = self.attempts, "acquired");
        Some(Guard::new(Lease::new(
            self.inner.clone(),
            held,
            machine,
            self.attempts,
            waited,
        )))
    }

    async fn wait(&self, place: Option<Box<dyn Place>>) {
        let now = self.now();
        tracing::trace!(lock = %self.name, pushed = place.is_some(), "waiting");
        match place {
            Some(mut place) => {
                let longest = self.policy.longest_wait_in_place();
                let until = longest
                    .map_or(Instant::FAR_FUTURE, |longest| now + longest)
                    .min(self.give_up_at);
                let _ = timeout(&*self.inner.runtime, until, place.wait()).await;
            }
            None => {
                let pause = self
                    .policy
                    .pause(self.attempts, self.inner.runtime.random());
                sleep_until(&*self.inner.runtime, (now + pause).min(self.give_up_at)).await;
            }
        }
    }

    /// Pauses before the same request is sent again, or says that there is no use.
    async fn after_failure(&mut self, source: StoreError) -> Result<(), AcquireError> {
        let now = self.now();
        let failing_since = *self.failing_since.get_or_insert(now);
        let hopeless = match &source {
            StoreError::Rejected { .. } => true,
            StoreError::Unavailable { .. } => self.mode == Mode::Try,
            StoreError::Indeterminate { .. } => false,
        };
        let patience_over =
            self.lock.wait.is_none() && now.since(failing_since) >= self.inner.options.outage;
        if hopeless || patience_over || now >= self.give_up_at || self.out_of_tries() {
            return Err(self.failed(source));
        }
        tracing::debug!(lock = %self.name, error = %source, "asking again");
        self.pause().await;
        if self.now() >= self.give_up_at {
            return Err(self.failed(source));
        }
        self.unanswered = Some(after(self.unanswered.take(), source));
        Ok(())
    }

    fn answered(&mut self) {
        self.failing_since = None;
        self.unanswered = None;
        self.failures = 0;
    }

    fn failed(&mut self, source: StoreError) -> AcquireError {
        AcquireError::Store {
            name: self.name.clone(),
            source: after(self.unanswered.take(), source),
        }
    }

    /// After trouble, with jitter: up to 20 ms, doubled to 1 s.
    async fn pause(&mut self) {
        self.failures = self.failures.saturating_add(1);
        let trouble = RetryPolicy::jittered(Duration::from_millis(20), Duration::from_secs(1));
        let pause = trouble
            .pause(self.failures, self.inner.runtime.random())
            .max(Duration::from_millis(1));
        sleep_until(
            &*self.inner.runtime,
            (self.now() + pause).min(self.give_up_at),
        )
        .await;
    }

    fn out_of_tries(&self) -> bool {
        self.policy
            .tries
            .is_some_and(|tries| self.attempts >= tries)
    }

    fn busy(&self, held_by: HeldBy) -> Busy {
        let waited = self.now().since(self.started);
        tracing::debug!(lock = %self.name, ?waited, attempts = self.attempts, "not acquired");
        Busy {
            name: self.name.clone(),
            waited,
            attempts: self.attempts,
            held_by,
        }
    }

    fn now(&self) -> Instant {
        self.inner.runtime.now()
    }
}

/// An attempt that nobody has claimed yet. Dropped, wherever the future stood, it has the store
/// cleaned up by id (R3, R4).
struct Unclaimed {
    inner: Arc<Inner>,
    request: AttemptRequest,
    cell: Arc<LeaseCell>,
    /// The send that is answered last of all, and the first one that was not answered.
    sent_at: Instant,
    first_unanswered: Option<Instant>,
    unanswered_before: Option<Instant>,
    /// The store may have something of ours: a lock or a queue entry.
    traces: bool,
    traces_before: bool,
}

impl Unclaimed {
    fn new(acquisition: &Acquisition<'_>) -> Self {
        let id = AttemptId::mint(&*acquisition.inner.runtime);
        let observed = acquisition.inner.observer.clone().map(|observer| Observed {
            observer,
            acquisition: acquisition.number,
            name: acquisition.name.clone(),
            id,
            ttl: acquisition.ttl,
        });
        let cell = Arc::new(LeaseCell::observed(observed));
        let request = AttemptRequest::new(
            acquisition.name.clone(),
            id,
            acquisition.ttl,
            acquisition.mode,
        )
        .labelled(acquisition.lock.label.clone())
        .reporting_to(&cell);
        Self {
            inner: acquisition.inner.clone(),
            request,
            cell,
            sent_at: Instant::ORIGIN,
            first_unanswered: None,
            unanswered_before: None,
            traces: false,
            traces_before: false,
        }
    }

    fn sending(&mut self, now: Instant) {
        self.sent_at = now;
        self.unanswered_before = self.first_unanswered;
        self.first_unanswered.get_or_insert(now);
        self.traces_before = self.traces;
        self.traces = true;
    }

    /// The last send surely changed nothing; earlier ones may have.
    fn not_applied(&mut self) {
        self.first_unanswered = self.unanswered_before;
        self.traces = self.traces_before;
    }

    /// The last send found the lock busy; an unanswered one before it may still arrive.
    fn answered_busy(&mut self, queued: bool) {
        self.first_unanswered = self.unanswered_before;
        self.traces = queued || self.traces_before;
    }

    /// R1: the earliest send that may have set the expiry, unless the answer proves that the last did.
    fn counted_from(&self, expiry: Expiry) -> Instant {
        match expiry {
            Expiry::ByThisCall => self.sent_at,
            Expiry::ByEarlierCall => self
                .first_unanswered
                .unwrap_or(self.sent_at)
                .min(self.sent_at),
            Expiry::At(instant) => instant.min(self.sent_at),
        }
    }

    /// A guard takes over.
    fn claim(&mut self) -> Trail {
        self.traces = false;
        self.request.trail.clone()
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if !self.traces {
            return;
        }
        let release = Release::Attempt(self.request.id, self.request.trail.clone());
        // A store may have kept the queue entry alive since.
        let give_up_at = self.inner.runtime.now() + self.request.ttl;
        self.inner
            .background
            .release(self.request.name.clone(), release, give_up_at);
    }
}
