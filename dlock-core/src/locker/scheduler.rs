//! One renewal scheduler per locker: a timer queue over all held leases, one task, batched requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::background::Background;
use crate::error::{Ended, LossCause};
use crate::lease::{Failure, LeaseCell, LeaseMachine, Life, Loss, Step};
use crate::runtime::{Race, Runtime, race, timeout};
use crate::store::{Expiry, LockStore, Release, Renewal, Renewed, StoreError, Trail};
use crate::{Grant, Instant, LockName};

/// R7: the task looks at the clock this often even when no timer is due, so that a loss through
/// suspend is signalled within 1 s of being runnable.
const LONGEST_NAP: Duration = Duration::from_secs(1);

/// A renewal due this soon goes along with a batch that leaves now.
const BATCH_WINDOW: Duration = Duration::from_millis(50);

pub(super) struct Scheduler {
    store: Arc<dyn LockStore>,
    runtime: Arc<dyn Runtime>,
    background: Arc<Background>,
    request_timeout: Duration,
    state: Mutex<State>,
    earlier_timer: Notify,
    /// Leases are held and their task has gone with its runtime.
    orphaned: AtomicBool,
}

#[derive(Default)]
struct State {
    leases: BTreeMap<LeaseKey, Entry>,
    timers: BTreeSet<(Instant, LeaseKey)>,
    next_key: LeaseKey,
    running: bool,
    /// Until when the task sleeps.
    asleep_until: Option<Instant>,
}

pub(super) type LeaseKey = u64;

struct Entry {
    lease: Held,
    machine: LeaseMachine,
    timer: Instant,
}

/// A held lease, as the scheduler knows it.
pub(super) struct Held {
    pub(super) name: LockName,
    pub(super) grant: Grant,
    pub(super) trail: Trail,
    pub(super) cell: Arc<LeaseCell>,
}

impl Scheduler {
    pub(super) fn new(
        store: Arc<dyn LockStore>,
        runtime: Arc<dyn Runtime>,
        background: Arc<Background>,
        request_timeout: Duration,
    ) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self {
            store,
            runtime,
            background,
            request_timeout,
            state,
            earlier_timer: Notify::new(),
            orphaned: AtomicBool::new(false),
        })
    }

    /// Takes a lease into care until [`Scheduler::forget`] or its end.
    pub(super) fn care_for(self: &Arc<Self>, lease: Held, machine: LeaseMachine) -> LeaseKey {
        lease.cell.sending(self.runtime.now() + machine.ttl());
        let timer = machine.next_look();
        let mut state = self.state();
        let key = state.next_key;
        state.next_key += 1;
        state.leases.insert(
            key,
            Entry {
                lease,
                machine,
                timer,
            },
        );
        state.timers.insert((timer, key));
        let wake = state.asleep_until.is_some_and(|until| timer < until);
        drop(state);
        self.ensure_running();
        if wake {
            self.earlier_timer.notify_one();
        }
        key
    }

    /// Starts the task if leases are held and none runs: for the first lease, and when the runtime
    /// that the task ran on is gone.
    pub(super) fn ensure_running(self: &Arc<Self>) {
        let mut state = self.state();
        if state.leases.is_empty() || std::mem::replace(&mut state.running, true) {
            return;
        }
        self.orphaned.store(false, Ordering::Release);
        drop(state);
        let running = Running {
            scheduler: self.clone(),
            polled: false,
            finished: false,
        };
        self.runtime.spawn(Box::pin(running.run()));
    }

    /// The same at the price of one load where all is well: for every look at a lease.
    pub(super) fn ensure_not_orphaned(self: &Arc<Self>) {
        if self.orphaned.load(Ordering::Acquire) {
            self.ensure_running();
        }
    }

    /// The lease has ended: no renewal is sent from now on.
    pub(super) fn forget(&self, key: LeaseKey) {
        let removed = self.state().remove(key);
        drop(removed);
    }

    /// What `extend` got from the store counts like a renewal, and its TTL stays.
    pub(super) fn extended(&self, key: LeaseKey, sent_at: Instant, ttl: Duration) {
        self.with_entry(key, |entry, now| {
            entry.machine.set_ttl(ttl);
            entry.machine.renewed(now, sent_at, ttl);
            entry
                .lease
                .cell
                .advance(entry.machine.deadline(), entry.machine.overdue_at());
        });
    }

    async fn run(self: &Arc<Self>) {
        loop {
            for batch in self.due() {
                let open = Open {
                    scheduler: self.clone(),
                    keys: keys(&batch),
                };
                let scheduler = self.clone();
                self.runtime
                    .spawn(Box::pin(async move { scheduler.renew(batch, open).await }));
            }
            let Some(nap) = self.nap() else { return };
            if let Race::First(()) =
                race(self.earlier_timer.notified(), self.runtime.sleep(nap)).await
            {
                tracing::trace!("scheduler woken by an earlier timer");
            }
        }
    }

    /// How long to sleep; `None` when there was nothing to care for.
    fn nap(&self) -> Option<Duration> {
        let now = self.runtime.now();
        let mut state = self.state();
        if state.leases.is_empty() && state.asleep_until.take().is_some() {
            // Nothing is held at the end of a nap. `running` falls under the same lock as the look
            // at `leases`, so that a lease which comes now starts a new task.
            state.running = false;
            return None;
        }
        let next = state
            .timers
            .first()
            .map_or(Instant::FAR_FUTURE, |(at, _)| *at);
        let until = next.min(now + LONGEST_NAP);
        state.asleep_until = Some(until);
        Some(until.since(now))
    }

    /// Moves every machine whose timer is due; returns the renewals to send, in batches.
    fn due(self: &Arc<Self>) -> Vec<Vec<Due>> {
        let now = self.runtime.now();
        let mut renewals = Vec::new();
        let mut over = Vec::new();
        let mut state = self.state();
        let anything_due = state.timers.first().is_some_and(|(at, _)| *at <= now);
        let window = if anything_due {
            BATCH_WINDOW
        } else {
            Duration::ZERO
        };
        let keys: Vec<LeaseKey> = state
            .timers
            .iter()
            .take_while(|(at, _)| *at <= now + window)
            .map(|(_, key)| *key)
            .collect();
        for key in keys {
            let Some(entry) = state.leases.get_mut(&key) else {
                continue;
            };
            let step = match entry.lease.cell.life() {
                // Reported lost by the store: only the clean-up is left to do.
                Life::Ended => Step::Lost(Loss::NotOwner),
                _ => entry
                    .machine
                    .step(now, window.min(entry.machine.ttl() / 20)),
            };
            let next = match step {
                Step::Wait(until) => Some(until),
                Step::Renew(ttl) => {
                    renewals.push(Due {
                        key,
                        renewal: entry.lease.renewal(ttl),
                        cell: entry.lease.cell.clone(),
                    });
                    Some(entry.machine.deadline())
                }
                Step::Lost(loss) => {
                    over.push((key, loss));
                    None
                }
            };
            if let Some(next) = next {
                let timer = std::mem::replace(&mut entry.timer, next);
                state.timers.remove(&(timer, key));
                state.timers.insert((next, key));
            }
        }
        let lost: Vec<_> = over
            .into_iter()
            .filter_map(|(key, loss)| Some((state.remove(key)?, loss)))
            .collect();
        drop(state);
        for (entry, loss) in lost {
            self.lose(entry, loss);
        }
        let most = self.store.capabilities().renewal_batch.max(1);
        let mut batches = Vec::new();
        while !renewals.is_empty() {
            let rest = renewals.split_off(renewals.len().min(most));
            batches.push(std::mem::replace(&mut renewals, rest));
        }
        batches
    }

    async fn renew(&self, mut batch: Vec<Due>, mut open: Open) {
        // R1: taken before the request leaves.
        let sent_at = self.runtime.now();
        // R6: what has ended since is renewed no more.
        batch.retain(|due| due.cell.renewing(sent_at + due.renewal.ttl));
        if batch.is_empty() {
            return;
        }
        open.keys = keys(&batch);
        let renewals: Vec<_> = batch.into_iter().map(|due| due.renewal).collect();
        // A third of the shortest TTL, so that a request without an answer leaves time for another.
        let shortest = renewals
            .iter()
            .map(|renewal| renewal.ttl)
            .min()
            .unwrap_or_default();
        let limit = self.request_timeout.min(shortest / 3);
        let answers = timeout(&*self.runtime, sent_at + limit, self.store.renew(&renewals)).await;
        tracing::trace!(
            renewals = renewals.len(),
            answered = answers.is_ok(),
            "renewed a batch"
        );
        let mut answers = answers.unwrap_or_default().into_iter();
        for renewal in &renewals {
            // A store that answers too few counts as not answering.
            let (Some(answer), Some(key)) = (answers.next(), open.keys.next()) else {
                break;
            };
            self.answered(key, sent_at, renewal.ttl, answer);
        }
    }

    fn answered(
        &self,
        key: LeaseKey,
        sent_at: Instant,
        ttl: Duration,
        answer: Result<Renewed, StoreError>,
    ) {
        match answer {
            Ok(Renewed::Until(expiry)) => self.with_entry(key, |entry, now| {
                entry
                    .machine
                    .renewed(now, counted_from(expiry, sent_at), ttl);
                entry
                    .lease
                    .cell
                    .advance(entry.machine.deadline(), entry.machine.overdue_at());
            }),
            Ok(Renewed::NotOwner) => self.not_owner(key),
            Err(error) => {
                let random = self.runtime.random();
                self.with_entry(key, |entry, now| {
                    tracing::debug!(lock = %entry.lease.name, %error, "renewal failed");
                    let failure = match &error {
                        StoreError::Rejected { .. } => Failure::Rejected,
                        StoreError::Unavailable { .. } | StoreError::Indeterminate { .. } => {
                            Failure::Unreachable
                        }
                    };
                    entry.machine.failed(now, failure, random);
                    entry
                        .lease
                        .cell
                        .set_failing((failure == Failure::Rejected).then(|| Arc::new(error)));
                });
            }
        }
    }

    /// The store says that the grant is gone.
    pub(super) fn not_owner(&self, key: LeaseKey) {
        let removed = self.state().remove(key);
        if let Some(entry) = removed {
            self.lose(entry, Loss::NotOwner);
        }
    }

    /// Changes an entry and sets its timer anew.
    fn with_entry(&self, key: LeaseKey, change: impl FnOnce(&mut Entry, Instant)) {
        let mut state = self.state();
        // Read inside the lock: an answer that waited for it past the deadline comes too late (R6).
        let now = self.runtime.now();
        let asleep_until = state.asleep_until;
        let Some(entry) = state.leases.get_mut(&key) else {
            return;
        };
        change(entry, now);
        let next = entry.machine.next_look();
        let timer = std::mem::replace(&mut entry.timer, next);
        state.timers.remove(&(timer, key));
        state.timers.insert((next, key));
        drop(state);
        if asleep_until.is_some_and(|until| next < until) {
            self.earlier_timer.notify_one();
        }
    }

    fn lose(&self, entry: Entry, loss: Loss) {
        let Entry { lease, .. } = entry;
        let cause = match (loss, lease.cell.refusal()) {
            (Loss::Expired, _) => LossCause::Expired,
            (Loss::NotOwner, _) => LossCause::NotOwner,
            (Loss::Rejected, Some(error)) => LossCause::Store(error),
            (Loss::Unreachable | Loss::Rejected, _) => LossCause::Unreachable,
        };
        lease.cell.end(Ended::Lost(cause));
        // It may have ended before, by the store's report or a look past the deadline.
        if let Some(Ended::Lost(cause)) = lease.cell.ended() {
            tracing::warn!(lock = %lease.name, token = %lease.grant.token, %cause, "lock lost");
        }
        // R3: every loss starts a release; what the store still has of this grant blocks others.
        if lease.cell.take_cleanup_after_loss() {
            let give_up_at = lease.cell.kept_until();
            self.background.release(
                lease.name,
                Release::Grant(lease.grant, lease.trail),
                give_up_at,
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, key: LeaseKey) -> Option<Entry> {
        let entry = self.leases.remove(&key)?;
        self.timers.remove(&(entry.timer, key));
        Some(entry)
    }
}

impl Held {
    fn renewal(&self, ttl: Duration) -> Renewal {
        Renewal::new(self.name.clone(), self.grant, ttl).trailing(self.trail.clone())
    }
}

struct Due {
    key: LeaseKey,
    renewal: Renewal,
    cell: Arc<LeaseCell>,
}

/// R1: the instant that an answer's TTL counts from: never later than the call's sending.
pub(super) fn counted_from(expiry: Expiry, sent_at: Instant) -> Instant {
    match expiry {
        Expiry::ByThisCall | Expiry::ByEarlierCall => sent_at,
        Expiry::At(instant) => instant.min(sent_at),
    }
}

fn keys(batch: &[Due]) -> std::vec::IntoIter<LeaseKey> {
    let keys: Vec<_> = batch.iter().map(|due| due.key).collect();
    keys.into_iter()
}

/// Renewals that are to be sent, or were and are not answered yet. What is left when it is dropped, be it by a panic
/// in the store, failed.
struct Open {
    scheduler: Arc<Scheduler>,
    keys: std::vec::IntoIter<LeaseKey>,
}

impl Drop for Open {
    fn drop(&mut self) {
        for key in self.keys.by_ref() {
            let silence = Err(StoreError::indeterminate("the renewal was not answered"));
            self.scheduler
                .answered(key, Instant::ORIGIN, Duration::ZERO, silence);
        }
    }
}

/// The task. When its runtime drops it unfinished, whoever next acquires or looks at a lease starts
/// another where it runs.
struct Running {
    scheduler: Arc<Scheduler>,
    polled: bool,
    finished: bool,
}

impl Running {
    async fn run(mut self) {
        self.polled = true;
        self.scheduler.run().await;
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut state = self.scheduler.state();
        state.running = false;
        self.scheduler
            .orphaned
            .store(!state.leases.is_empty(), Ordering::Release);
        if !self.polled {
            // No runtime took it, and waiters that were woken would only try again.
            return;
        }
        let cells: Vec<_> = state
            .leases
            .values()
            .map(|entry| entry.lease.cell.clone())
            .collect();
        drop(state);
        cells.iter().for_each(|cell| cell.nudge_waiters());
    }
}
