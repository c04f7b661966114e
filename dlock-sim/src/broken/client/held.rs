use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlock_core::fence::{Stamp, Stamped};
use dlock_core::runtime::timeout;
use dlock_core::store::{Release, Renewal, Renewed, Trail};
use dlock_core::{Grant, Instant, LockName};

use super::{Flaw, Naive, PATIENCE, Won};
use crate::client::Holder;
use crate::trace::Kind;
use crate::world::nanos;

/// A lock that is held, and renewed.
pub(crate) struct Held {
    naive: Naive,
    name: LockName,
    grant: Grant,
    trail: Trail,
    ttl: Duration,
    state: Mutex<State>,
}

struct State {
    /// On the client's own idea of a clock.
    deadline: Instant,
    /// What the trace has of it, on the machine's clock.
    told: Instant,
    /// Whether user code has it.
    handed: bool,
    over: bool,
}

impl Held {
    /// The renewal begins.
    pub fn begin(naive: &Naive, name: &LockName, won: Won) -> Arc<Self> {
        let held = Arc::new(Self {
            naive: naive.clone(),
            name: name.clone(),
            grant: won.granted.grant,
            trail: won.trail,
            ttl: naive.client.ttl(),
            state: Mutex::new(State {
                deadline: won.deadline,
                told: naive.on_the_machines_clock(won.deadline),
                handed: false,
                over: false,
            }),
        });
        let renewed = held.clone();
        naive.client.spawn(async move { renewed.keep().await });
        held
    }

    async fn keep(self: Arc<Self>) {
        let mut pause = self.ttl / 3;
        loop {
            self.naive.client.sleep(pause).await;
            if self.state().over || self.naive.flaw == Flaw::ValidityWraps {
                return;
            }
            let sent_at = self.naive.now();
            let mut renewal = Renewal::new(self.name.clone(), self.grant, self.ttl);
            renewal.trail = self.trail.clone();
            let batch = [renewal];
            let runtime = self.naive.client.runtime();
            let until = runtime.now() + PATIENCE.min(self.ttl);
            let answers = timeout(&*runtime, until, self.naive.store.renew(&batch)).await;
            let answer = answers.ok().and_then(|mut answers| answers.pop());
            pause = match answer {
                Some(Ok(Renewed::Until(_))) => {
                    self.moved(self.naive.deadline(sent_at, self.ttl));
                    self.ttl / 3
                }
                Some(Ok(_)) => return self.end("not_owner"),
                Some(Err(_)) | None => Duration::from_millis(100),
            };
            if self.naive.flaw != Flaw::NoDeadline && !self.is_in_time() && !self.is_kept() {
                return self.end("expired");
            }
        }
    }

    /// Nobody has it, and nobody ever lets it go.
    fn is_kept(&self) -> bool {
        let handed = self.state().handed;
        self.naive.flaw == Flaw::OrphanOnCancel && !handed
    }

    fn is_in_time(&self) -> bool {
        self.naive.now() < self.state().deadline
    }

    fn moved(&self, deadline: Instant) {
        let now = self.naive.now();
        let mut state = self.state();
        // What has run out stays so.
        if state.over || now >= state.deadline || deadline <= state.deadline {
            return;
        }
        state.deadline = deadline;
        state.told = self.naive.on_the_machines_clock(deadline);
        let told = state.told;
        if state.handed {
            self.tell(told);
        }
    }

    fn tell(&self, deadline: Instant) {
        self.naive.record(Kind::DeadlineMoved {
            name: self.name.to_string(),
            attempt: self.grant.hash().to_string(),
            token: self.grant.token.value(),
            deadline_local_ns: deadline.as_nanos(),
        });
    }

    /// Whether the client believes.
    fn check(&self) -> bool {
        let now = self.naive.now();
        let mut state = self.state();
        let believes = !state.over && now < state.deadline;
        let machine = self.naive.client.machine().now();
        if believes && machine >= state.told {
            // After a sleep that nobody foretold: the trace says so late.
            state.told = self.naive.on_the_machines_clock(state.deadline);
            self.tell(state.told);
        }
        believes
    }

    fn end(&self, how: &str) {
        let was_over = std::mem::replace(&mut self.state().over, true);
        if was_over {
            return;
        }
        if self.state().handed {
            self.believes_no_more(how);
        }
        self.let_go();
    }

    fn believes_no_more(&self, how: &str) {
        self.naive.record(Kind::BeliefEnds {
            name: self.name.to_string(),
            attempt: self.grant.hash().to_string(),
            token: self.grant.token.value(),
            how: how.to_owned(),
        });
    }

    fn let_go(&self) {
        let release = Release::Grant(self.grant, self.trail.clone());
        self.naive.let_go(self.name.clone(), release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What user code has.
pub(crate) struct NaiveGuard {
    held: Arc<Held>,
}

impl NaiveGuard {
    pub(crate) fn begin(held: Arc<Held>, op: u64) -> Self {
        let mut state = held.state();
        state.handed = true;
        let deadline_local_ns = state.told.as_nanos();
        drop(state);
        let holder = Holder {
            attempt: held.grant.hash().to_string(),
            token: held.grant.token.value(),
        };
        let newest = held.naive.client.newest_slot();
        *newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(holder.clone());
        held.naive.record(Kind::Granted {
            op,
            name: held.name.to_string(),
            attempt: holder.attempt,
            token: holder.token,
            ttl_ns: nanos(held.ttl),
            deadline_local_ns,
        });
        Self { held }
    }

    /// Whether the lock is still held, as far as the client knows.
    pub fn check(&self) -> bool {
        self.held.check()
    }

    pub fn name(&self) -> &LockName {
        &self.held.name
    }

    /// Lets go, in the background.
    pub fn release(self) {
        self.held.end("released");
    }
}

impl Stamped for NaiveGuard {
    fn stamp(&self) -> Stamp {
        self.held.grant.stamp()
    }
}

impl Drop for NaiveGuard {
    fn drop(&mut self) {
        if self.held.naive.flaw != Flaw::DropKeeps {
            self.held.end("released");
        } else if !self.held.state().over {
            self.held.state().handed = false;
            self.held.believes_no_more("released");
        }
    }
}
