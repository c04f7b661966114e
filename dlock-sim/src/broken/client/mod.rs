//! A small locker of its own kind over a [`LockStore`], with one flaw at a time. Without a flaw it is sound.

mod held;
mod job;
pub(crate) mod simple;

use std::sync::Arc;
use std::time::Duration;

use dlock_core::runtime::timeout;
use dlock_core::store::{
    Attempt, AttemptRequest, Expiry, Granted, LockStore, Mode, Release, StoreError, Trail,
};
use dlock_core::{AttemptId, Instant, LockName, OwnerLabel, Terms};

use crate::client::SimClient;
use crate::faults::{Fault, FaultKind};
use crate::trace::Kind;
use crate::world::nanos;
use held::Held;
pub(crate) use held::NaiveGuard;
pub(crate) use job::work;

/// What is wrong with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    /// The deadline counts from the answer.
    DeadlineFromReply,
    /// It believes until it is told.
    NoDeadline,
    /// Who asks lives on in the background when nobody wants the lock any more.
    OrphanOnCancel,
    /// A guard that is dropped goes on being renewed.
    DropKeeps,
    /// It reads without a claim; only the write shows its token.
    FenceAtWrite,
    /// Its clock stands still while the machine sleeps.
    ClockWithoutSuspend,
    /// What is left of the TTL is a number that cannot be negative: below zero it wraps around. It renews nothing.
    ValidityWraps,
}

/// The longest that one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The locker.
#[derive(Clone)]
pub(crate) struct Naive {
    client: SimClient,
    store: Arc<dyn LockStore>,
    flaw: Flaw,
    wait: Option<Duration>,
    sleep: Option<Sleep>,
}

/// A sleep of the machine that is to come, in true time since the beginning.
#[derive(Clone, Copy, Debug)]
struct Sleep {
    at: Duration,
    lasts: Duration,
}

/// A grant before it is anybody's.
pub(crate) struct Won {
    granted: Granted,
    trail: Trail,
    deadline: Instant,
}

impl Naive {
    pub fn new(client: SimClient, flaw: Flaw) -> Self {
        Self {
            store: client.store(),
            client,
            flaw,
            wait: None,
            sleep: None,
        }
    }

    /// The trace's clock counts a sleep that a [`Flaw::ClockWithoutSuspend`] does not: with the plan, the deadlines in
    /// the trace are those at which the client stops believing, sleep and all.
    pub fn sleeping(mut self, plan: &[Fault]) -> Self {
        let sleeps = |fault: &&Fault| matches!(&fault.kind, FaultKind::Suspend { node } if node == self.client.name());
        self.sleep = plan.iter().find(sleeps).map(|fault| Sleep {
            at: Duration::from_millis(fault.at_ms),
            lasts: Duration::from_millis(fault.for_ms),
        });
        self
    }

    /// Waits so long at most while somebody else has the lock. Whatever else takes time is not counted.
    pub fn waiting(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Waits for the lock, until it has it, has waited long enough, or the future is dropped.
    pub async fn acquire(&self, name: &LockName) -> Option<NaiveGuard> {
        let op = self.client.machine().recorder().next_op();
        self.record(Kind::Acquire {
            op,
            name: name.to_string(),
            trying: false,
            wait_ns: self.wait.map(nanos),
        });
        let mut asked = Asked {
            naive: self.clone(),
            op,
            over: false,
        };
        let held = if self.flaw == Flaw::OrphanOnCancel {
            let (tell, told) = tokio::sync::oneshot::channel();
            let (naive, name) = (self.clone(), name.clone());
            // Whoever hears of it or not: it is renewed from now on.
            self.client.spawn(async move {
                let _ = tell.send(naive.win(&name).await);
            });
            told.await.ok()?
        } else {
            self.win(name).await
        };
        asked.over = true;
        if held.is_none() {
            self.record(Kind::NotGranted {
                op,
                why: "timed_out".to_owned(),
            });
        }
        Some(NaiveGuard::begin(held?, op))
    }

    /// Asks once. An error is reported, and that is that: nobody looks what became of the request.
    pub async fn try_once(&self, name: &LockName) -> Result<Option<NaiveGuard>, StoreError> {
        let op = self.client.machine().recorder().next_op();
        self.record(Kind::Acquire {
            op,
            name: name.to_string(),
            trying: true,
            wait_ns: None,
        });
        let id = AttemptId::mint(&*self.client.runtime());
        let ttl = self.client.ttl();
        let request = AttemptRequest::new(name.clone(), id, ttl, Mode::Try)
            .labelled(OwnerLabel::new(self.client.name()));
        let sent_at = self.now();
        let answer = self.store.attempt(&request).await;
        if let Ok(Attempt::Granted(granted)) = answer {
            let won = Won {
                granted,
                trail: request.trail,
                deadline: self.deadline(sent_at, ttl),
            };
            return Ok(Some(NaiveGuard::begin(Held::begin(self, name, won), op)));
        }
        let why = if answer.is_ok() { "busy" } else { "store" };
        self.record(Kind::NotGranted {
            op,
            why: why.to_owned(),
        });
        answer.map(|_| None)
    }

    /// Asks until it is granted, and the renewal has begun, or until it has waited long enough.
    async fn win(&self, name: &LockName) -> Option<Arc<Held>> {
        let mut left = self.wait;
        loop {
            let mut mine = Mine {
                naive: self.clone(),
                name: name.clone(),
                id: AttemptId::mint(&*self.client.runtime()),
                trail: Trail::default(),
                over: self.flaw == Flaw::OrphanOnCancel,
            };
            let won = self.ask(&mine, &mut left).await?;
            let needed = self.client.ttl() / 2;
            if self.believes_anything() || won.deadline.since(self.now()) >= needed {
                mine.over = true;
                return Some(Held::begin(self, name, won));
            }
            let release = Release::Grant(won.granted.grant, won.trail);
            let until = self.client.runtime().now() + PATIENCE;
            let release = self.store.release(name, &release);
            let _ = timeout(&*self.client.runtime(), until, release).await;
            drop(mine);
            self.pause().await;
        }
    }

    /// One attempt, asked as often as needed, or until nothing is left of the time to wait.
    async fn ask(&self, mine: &Mine, left: &mut Option<Duration>) -> Option<Won> {
        let ttl = self.client.ttl();
        let mut request = AttemptRequest::new(mine.name.clone(), mine.id, ttl, Mode::Queue)
            .labelled(OwnerLabel::new(self.client.name()));
        request.trail = mine.trail.clone();
        let runtime = self.client.runtime();
        let mut unanswered: Option<Instant> = None;
        loop {
            let sent_at = self.now();
            let until = runtime.now() + PATIENCE;
            match timeout(&*runtime, until, self.store.attempt(&request)).await {
                Ok(Ok(Attempt::Granted(granted))) => {
                    let from = match granted.expiry {
                        Expiry::ByThisCall => sent_at,
                        Expiry::ByEarlierCall => unanswered.unwrap_or(sent_at),
                        Expiry::At(at) => at.min(sent_at),
                    };
                    return Some(Won {
                        granted,
                        trail: request.trail,
                        deadline: self.deadline(from, ttl),
                    });
                }
                Ok(Ok(Attempt::Busy { place, .. })) => {
                    unanswered = None;
                    let from = runtime.now();
                    let until = left.map_or(Instant::FAR_FUTURE, |left| from + left);
                    let turn = async {
                        match place {
                            Some(mut place) => place.wait().await,
                            None => self.pause().await,
                        }
                    };
                    let _ = timeout(&*runtime, until, turn).await;
                    if let Some(left) = left {
                        *left = left.saturating_sub(runtime.now().since(from));
                        if left.is_zero() {
                            return None;
                        }
                    }
                }
                Ok(Ok(_) | Err(_)) | Err(_) => {
                    unanswered.get_or_insert(sent_at);
                    self.pause().await;
                }
            }
        }
    }

    /// R1, or not.
    fn deadline(&self, sent_at: Instant, ttl: Duration) -> Instant {
        match self.flaw {
            Flaw::NoDeadline => Instant::from_nanos(u64::MAX / 4),
            Flaw::ValidityWraps => {
                let now = self.now();
                let elapsed = now.since(sent_at).as_nanos() as u64;
                let left = (ttl.as_nanos() as u64).wrapping_sub(elapsed);
                Instant::from_nanos(now.as_nanos().saturating_add(left).min(u64::MAX / 4))
            }
            Flaw::DeadlineFromReply => Terms::default().deadline(self.now(), ttl),
            _ => Terms::default().deadline(sent_at, ttl),
        }
    }

    /// Whatever is left, the lock counts as held.
    fn believes_anything(&self) -> bool {
        matches!(self.flaw, Flaw::NoDeadline | Flaw::ValidityWraps)
    }

    fn now(&self) -> Instant {
        match self.flaw {
            Flaw::ClockWithoutSuspend => self.client.machine().now_without_suspend(),
            _ => self.client.machine().now(),
        }
    }

    /// What the machine's clock will show when this client's own idea of a clock shows this.
    fn on_the_machines_clock(&self, own: Instant) -> Instant {
        let machine = self.client.machine();
        let left = own.since(self.now());
        let shown = machine.now() + left;
        let now = Duration::from_nanos(machine.recorder().now_ns());
        match self.sleep {
            Some(sleep)
                if self.flaw == Flaw::ClockWithoutSuspend
                    && (now..now + left).contains(&sleep.at) =>
            {
                shown + sleep.lasts
            }
            _ => shown,
        }
    }

    async fn pause(&self) {
        let ms = 20 + self.client.random_below(100);
        self.client.sleep(Duration::from_millis(ms)).await;
    }

    /// In the background, until it is surely gone.
    fn let_go(&self, name: LockName, release: Release) {
        let naive = self.clone();
        self.client.spawn(async move {
            let runtime = naive.client.runtime();
            let until = runtime.now() + 2 * naive.client.ttl() + PATIENCE;
            while runtime.now() < until {
                let patience = runtime.now() + PATIENCE;
                let answer = naive.store.release(&name, &release);
                if let Ok(Ok(released)) = timeout(&*runtime, patience, answer).await
                    && released.settled
                {
                    return;
                }
                naive.pause().await;
            }
        });
    }

    fn record(&self, kind: Kind) {
        self.client.machine().record(kind);
    }
}

/// User code waits; dropped before it is over, it does not any more.
struct Asked {
    naive: Naive,
    op: u64,
    over: bool,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.over {
            self.naive.record(Kind::Abandoned { op: self.op });
        }
    }
}

/// An attempt that is cleaned up if it comes to nothing (R3, R4).
struct Mine {
    naive: Naive,
    name: LockName,
    id: AttemptId,
    trail: Trail,
    over: bool,
}

impl Drop for Mine {
    fn drop(&mut self) {
        if !self.over {
            let release = Release::Attempt(self.id, self.trail.clone());
            self.naive.let_go(self.name.clone(), release);
        }
    }
}
