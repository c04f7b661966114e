//! A small locker of its own kind over a [`LockStore`], with one flaw at a time. Without a flaw it is sound.

mod held;
mod job;

use std::sync::Arc;
use std::time::Duration;

use dlock_core::runtime::timeout;
use dlock_core::store::{
    Attempt, AttemptRequest, Expiry, Granted, LockStore, Mode, Release, Trail,
};
use dlock_core::{AttemptId, Instant, LockName, OwnerLabel, Terms};

use crate::client::SimClient;
use crate::trace::Kind;
use held::Held;
pub(super) use held::NaiveGuard;
pub(super) use job::work;

/// What is wrong with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
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
}

/// The longest that one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The locker.
#[derive(Clone)]
pub(super) struct Naive {
    client: SimClient,
    store: Arc<dyn LockStore>,
    flaw: Flaw,
}

/// A grant before it is anybody's.
struct Won {
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
        }
    }

    /// Waits for the lock, until it has it or the future is dropped.
    pub async fn acquire(&self, name: &LockName) -> Option<NaiveGuard> {
        let op = self.client.machine().recorder().next_op();
        self.record(Kind::Acquire {
            op,
            name: name.to_string(),
            trying: false,
            wait_ns: None,
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
        Some(NaiveGuard::begin(held, op))
    }

    /// Asks until it is granted; the renewal has begun then.
    async fn win(&self, name: &LockName) -> Arc<Held> {
        loop {
            let mut mine = Mine {
                naive: self.clone(),
                name: name.clone(),
                id: AttemptId::mint(&*self.client.runtime()),
                trail: Trail::default(),
                over: self.flaw == Flaw::OrphanOnCancel,
            };
            let won = self.ask(&mine).await;
            let needed = self.client.ttl() / 2;
            if self.flaw == Flaw::NoDeadline || won.deadline.since(self.now()) >= needed {
                mine.over = true;
                return Held::begin(self, name, won);
            }
            let release = Release::Grant(won.granted.grant, won.trail);
            let until = self.client.runtime().now() + PATIENCE;
            let release = self.store.release(name, &release);
            let _ = timeout(&*self.client.runtime(), until, release).await;
            drop(mine);
            self.pause().await;
        }
    }

    /// One attempt, asked as often as needed.
    async fn ask(&self, mine: &Mine) -> Won {
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
                    return Won {
                        granted,
                        trail: request.trail,
                        deadline: self.deadline(from, ttl),
                    };
                }
                Ok(Ok(Attempt::Busy { place, .. })) => {
                    unanswered = None;
                    match place {
                        Some(mut place) => place.wait().await,
                        None => self.pause().await,
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
            Flaw::DeadlineFromReply => Terms::default().deadline(self.now(), ttl),
            _ => Terms::default().deadline(sent_at, ttl),
        }
    }

    fn now(&self) -> Instant {
        match self.flaw {
            Flaw::ClockWithoutSuspend => self.client.machine().now_without_suspend(),
            _ => self.client.machine().now(),
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
