//! Warm leases, so that an attempt needs no request to have one.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlock_core::Instant;
use dlock_core::runtime::{Race, race, sleep_until, timeout};
use etcd_client::LeaseGrantOptions;
use tokio::sync::{Notify, oneshot};

use super::{Keepalives, Lease};
use crate::failure::{Failure, Meaning};
use crate::members::Members;

/// The most leases that are kept without being used.
pub(crate) const MOST_IDLE: usize = 128;

/// For how long one is kept without being used.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// Leases that nobody uses, and the care for those that nobody else renews: idle ones, and those of
/// attempts that wait. Held ones are renewed by the `Locker`.
///
/// A lease serves one attempt at a time. It comes back only after all requests of that attempt were
/// answered and its key is surely gone; otherwise it is retired, which is to be revoked.
pub(crate) struct Pool {
    members: Arc<Members>,
    keepalives: Arc<Keepalives>,
    state: Mutex<State>,
    changed: Notify,
    /// Nothing is under way any more.
    quiet: Notify,
}

#[derive(Default)]
struct State {
    /// Nobody is to find an idle lease, until one is asked for again.
    closed: bool,
    /// Leases that are being granted or retired.
    under_way: usize,
    /// The one that was used last is at the end, and is used next: so the others grow old and go.
    idle: BTreeMap<Duration, Vec<Idle>>,
    idle_count: usize,
    tended: BTreeMap<i64, Tended>,
    due: BTreeSet<(Instant, i64)>,
    running: bool,
    /// Until when the task sleeps.
    asleep_until: Option<Instant>,
}

struct Idle {
    lease: Arc<Lease>,
    since: Instant,
}

struct Tended {
    lease: Arc<Lease>,
    due: Instant,
}

impl Pool {
    pub fn new(members: Arc<Members>, keepalives: Arc<Keepalives>) -> Arc<Self> {
        Arc::new(Self {
            members,
            keepalives,
            state: Mutex::default(),
            changed: Notify::new(),
            quiet: Notify::new(),
        })
    }

    /// A lease with this TTL and at least half of it left. Cancel-safe: one that is granted in vain
    /// is kept for the next.
    pub async fn take(self: &Arc<Self>, ttl: Duration) -> Result<Arc<Lease>, Failure> {
        let now = self.now();
        let warm = self.state().take(ttl, now);
        if let Some(lease) = warm {
            self.keep_warm(&lease, now);
            return Ok(lease);
        }
        let (sender, granted) = oneshot::channel();
        let under_way = UnderWay::new(self);
        self.members.runtime.spawn(Box::pin(async move {
            let answer = under_way.pool.grant(ttl).await.map(|lease| Untaken {
                pool: under_way.pool.clone(),
                lease,
                taken: false,
            });
            let _ = sender.send(answer);
        }));
        let answer = granted.await.unwrap_or_else(|_| {
            Err(Failure::told(
                Meaning::Unavailable,
                "there is no runtime to ask for a lease on",
            ))
        });
        answer.map(Untaken::take)
    }

    async fn grant(self: &Arc<Self>, ttl: Duration) -> Result<Arc<Lease>, Failure> {
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        loop {
            // An id of our own choice: so it can be revoked if the answer is lost.
            let id = self.new_id();
            let sent_at = self.now();
            let answer = self
                .members
                .call(|client| {
                    let mut leases = client.lease_client();
                    async move {
                        let options = LeaseGrantOptions::new().with_id(id);
                        leases.grant(seconds, Some(options)).await
                    }
                })
                .await;
            match answer {
                // etcd gives as much, or more.
                Ok(answer) if answer.ttl() >= seconds => {
                    return Ok(Arc::new(Lease::granted(id, ttl, sent_at)));
                }
                Ok(_) => return Err(Failure::garbled("a lease of a shorter TTL than asked for")),
                Err(failure) if failure.meaning == Meaning::LeaseExists => {}
                Err(failure) => {
                    if failure.meaning == Meaning::Indeterminate {
                        self.retire(&Arc::new(Lease::granted(id, ttl, sent_at)));
                    }
                    return Err(failure);
                }
            }
        }
    }

    /// Of 62 bits, so that nobody meets another's by accident.
    fn new_id(&self) -> i64 {
        i64::try_from(self.members.runtime.random() >> 2).unwrap_or(0) | 1
    }

    /// Sees to it that a lease lives while its attempt waits.
    pub fn tend(self: &Arc<Self>, lease: &Arc<Lease>) {
        let now = self.now();
        let due = self.state().tend(lease, now);
        self.wake(due);
    }

    /// Somebody else renews it from now on, or nobody.
    pub fn leave_alone(&self, lease: &Lease) {
        self.state().leave_alone(lease.id);
    }

    /// An attempt has ended without a doubt: its lease serves the next.
    pub fn give_back(self: &Arc<Self>, lease: Arc<Lease>) {
        if lease.foreign {
            return;
        }
        let now = self.now();
        let mut state = self.state();
        if !lease.is_fresh(now) || state.idle_count >= MOST_IDLE || state.closed {
            drop(state);
            self.retire(&lease);
            return;
        }
        let due = state.tend(&lease, now);
        state.idle_count += 1;
        let warm = lease.clone();
        let idle = state.idle.entry(lease.ttl).or_default();
        idle.push(Idle { lease, since: now });
        drop(state);
        self.keep_warm(&warm, now);
        self.wake(due);
    }

    /// One that is always in use when the pool looks would grow old.
    fn keep_warm(&self, lease: &Arc<Lease>, now: Instant) {
        if now >= lease.renewed_from() + lease.ttl / 3 {
            self.keepalives.keep_soon(lease);
        }
    }

    /// Revokes a lease in the background, until it is surely gone.
    pub fn retire(self: &Arc<Self>, lease: &Arc<Lease>) {
        self.leave_alone(lease);
        lease.set_retired();
        if lease.foreign || lease.is_gone() {
            return;
        }
        let (under_way, lease) = (UnderWay::new(self), lease.clone());
        self.members.runtime.spawn(Box::pin(async move {
            let pool = &under_way.pool;
            let runtime = &*pool.members.runtime;
            let mut pause = Duration::from_millis(20);
            // It ends by itself a TTL after the last keepalive.
            while pool.revoke(&lease).await.is_err() && pool.now() < lease.ends_at() {
                sleep_until(runtime, pool.now() + pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }));
    }

    /// Revokes a lease. Once that is answered nothing that was sent with it can come true.
    pub async fn revoke(&self, lease: &Lease) -> Result<(), Failure> {
        if lease.foreign {
            return Ok(());
        }
        let id = lease.id;
        let answer = self
            .members
            .call(|client| {
                let mut leases = client.lease_client();
                async move { leases.revoke(id).await }
            })
            .await;
        match answer {
            Ok(_) => {}
            Err(failure) if failure.meaning == Meaning::NoSuchLease => {}
            Err(failure) => return Err(failure),
        }
        lease.set_gone();
        Ok(())
    }

    /// Revokes all that are idle, and waits, no longer than for an answer, for what others have begun.
    pub async fn close(&self) {
        let idle: Vec<_> = {
            let mut state = self.state();
            state.closed = true;
            let idle: Vec<_> = std::mem::take(&mut state.idle)
                .into_values()
                .flatten()
                .collect();
            state.idle_count = 0;
            for one in &idle {
                state.leave_alone(one.lease.id);
            }
            idle
        };
        let revoking = idle.iter().map(|one| self.revoke(&one.lease));
        futures_util::future::join_all(revoking).await;
        self.changed.notify_one();
        let until = self.now() + self.members.response_timeout;
        let _ = timeout(&*self.members.runtime, until, self.nothing_under_way()).await;
    }

    async fn nothing_under_way(&self) {
        loop {
            let mut quiet = pin!(self.quiet.notified());
            quiet.as_mut().enable();
            if self.state().under_way == 0 {
                return;
            }
            quiet.await;
        }
    }

    /// Nobody uses the store any more: what is left ends by itself.
    pub fn abandon(&self) {
        let mut state = self.state();
        let (running, under_way) = (state.running, state.under_way);
        *state = State {
            running,
            under_way,
            closed: true,
            ..State::default()
        };
        drop(state);
        self.changed.notify_one();
    }

    /// How many are idle.
    pub fn idle(&self) -> usize {
        self.state().idle_count
    }

    /// Sees to it that the task looks then.
    fn wake(self: &Arc<Self>, due: Instant) {
        let mut state = self.state();
        if std::mem::replace(&mut state.running, true) {
            let sleeps_longer = state.asleep_until.is_some_and(|until| due < until);
            drop(state);
            if sleeps_longer {
                self.changed.notify_one();
            }
            return;
        }
        drop(state);
        let running = Running {
            pool: self.clone(),
            finished: false,
        };
        self.members.runtime.spawn(Box::pin(running.run()));
    }

    async fn run(self: &Arc<Self>) {
        loop {
            let now = self.now();
            let (ask, retire, next) = {
                let mut state = self.state();
                let retire = state.too_old(now);
                let ask = state.take_due(now);
                let next = state.due.first().map(|(at, _)| *at);
                state.asleep_until = next;
                if next.is_none() {
                    // Under the lock, so that who comes now starts another task.
                    state.running = false;
                }
                (ask, retire, next)
            };
            for lease in ask {
                self.keepalives.keep_soon(&lease);
            }
            for lease in retire {
                self.retire(&lease);
            }
            let Some(next) = next else { return };
            let woken = race(
                self.changed.notified(),
                sleep_until(&*self.members.runtime, next),
            );
            if let Race::First(()) = woken.await {
                tracing::trace!("leases looked at early");
            }
        }
    }

    fn now(&self) -> Instant {
        self.members.runtime.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counted, until it is dropped, however its task ends.
struct UnderWay {
    pool: Arc<Pool>,
}

impl UnderWay {
    fn new(pool: &Arc<Pool>) -> Self {
        pool.state().under_way += 1;
        Self { pool: pool.clone() }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.pool.state().under_way -= 1;
        self.pool.quiet.notify_waiters();
    }
}

/// A new lease on its way to who asked for it. If that one is gone, before or after it was sent, it goes
/// to the pool.
struct Untaken {
    pool: Arc<Pool>,
    lease: Arc<Lease>,
    taken: bool,
}

impl Untaken {
    fn take(mut self) -> Arc<Lease> {
        self.taken = true;
        self.lease.clone()
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        if !self.taken {
            self.pool.give_back(self.lease.clone());
        }
    }
}

impl State {
    fn take(&mut self, ttl: Duration, now: Instant) -> Option<Arc<Lease>> {
        self.closed = false;
        let idle = self.idle.get_mut(&ttl)?;
        let at = idle.iter().rposition(|one| one.lease.is_fresh(now))?;
        let lease = idle.remove(at).lease;
        self.idle_count -= 1;
        self.leave_alone(lease.id);
        Some(lease)
    }

    fn tend(&mut self, lease: &Arc<Lease>, now: Instant) -> Instant {
        self.leave_alone(lease.id);
        let due = next_look(lease, now);
        self.due.insert((due, lease.id));
        self.tended.insert(
            lease.id,
            Tended {
                lease: lease.clone(),
                due,
            },
        );
        due
    }

    fn leave_alone(&mut self, id: i64) {
        if let Some(tended) = self.tended.remove(&id) {
            self.due.remove(&(tended.due, id));
        }
    }

    /// Leases to keep alive now. Those that are gone are forgotten.
    fn take_due(&mut self, now: Instant) -> Vec<Arc<Lease>> {
        let mut ask = Vec::new();
        while let Some((at, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, id));
            let Some(tended) = self.tended.get_mut(&id) else {
                continue;
            };
            if tended.lease.is_gone() {
                self.tended.remove(&id);
                continue;
            }
            if now >= tended.lease.renewed_from() + tended.lease.ttl / 3 {
                ask.push(tended.lease.clone());
            }
            tended.due = next_look(&tended.lease, now);
            self.due.insert((tended.due, id));
        }
        ask
    }

    /// Idle ones that have not been used for long, and those that came to an end.
    fn too_old(&mut self, now: Instant) -> Vec<Arc<Lease>> {
        let mut old = Vec::new();
        for idle in self.idle.values_mut() {
            let (keep, go): (Vec<_>, Vec<_>) = std::mem::take(idle)
                .into_iter()
                .partition(|one| now < one.since + IDLE_FOR && !one.lease.is_gone());
            *idle = keep;
            old.extend(go.into_iter().map(|one| one.lease));
        }
        self.idle.retain(|_, idle| !idle.is_empty());
        self.idle_count -= old.len();
        for lease in &old {
            self.leave_alone(lease.id);
        }
        old
    }
}

/// A third of the TTL after the last answer; soon again while none comes. And in time to see that one
/// has been idle for long.
fn next_look(lease: &Lease, now: Instant) -> Instant {
    let regular = lease.renewed_from() + lease.ttl / 3;
    let soon = now + (lease.ttl / 20).min(Duration::from_secs(1));
    regular.max(soon).min(now + IDLE_FOR / 3)
}

/// The task. When its runtime drops it unfinished, the next change starts another.
struct Running {
    pool: Arc<Pool>,
    finished: bool,
}

impl Running {
    async fn run(mut self) {
        self.pool.run().await;
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished {
            self.pool.state().running = false;
        }
    }
}
