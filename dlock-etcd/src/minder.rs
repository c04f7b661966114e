use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dlock_core::Instant;
use dlock_core::runtime::{Race, race, sleep_until};
use tokio::sync::Notify;

use crate::candidate::Candidate;
use crate::lease::Pool;
use crate::members::Members;
use crate::recipe::{self, READ_BATCH};
use crate::table::Table;
use crate::watch::Hub;

/// A lock that is held for less needs no watch on its own key.
const BRIEF: Duration = Duration::from_millis(50);

/// Locks that become due within this go together.
const TOGETHER: Duration = Duration::from_millis(10);

/// After a read that failed.
const AGAIN: Duration = Duration::from_millis(500);

/// Watches over the keys of locks that are held, so that a key deleted by hand is noticed at once: opens
/// the watches, and reads the keys after a watch was created, many at a time.
pub(crate) struct Minder {
    members: Arc<Members>,
    hub: Arc<Hub>,
    pool: Arc<Pool>,
    table: Arc<Table>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// In the order in which they are due.
    soon: VecDeque<(Instant, Weak<Candidate>)>,
    to_verify: Vec<Weak<Candidate>>,
    running: bool,
}

impl Minder {
    pub fn new(
        members: Arc<Members>,
        hub: Arc<Hub>,
        pool: Arc<Pool>,
        table: Arc<Table>,
    ) -> Arc<Self> {
        Arc::new(Self {
            members,
            hub,
            pool,
            table,
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub fn now(&self) -> Instant {
        self.members.runtime.now()
    }

    /// A lock was granted: its key is watched if it is held for longer.
    pub fn watch_soon(self: &Arc<Self>, candidate: &Arc<Candidate>) {
        let due = self.now() + BRIEF;
        self.add(|state| state.soon.push_back((due, Arc::downgrade(candidate))));
    }

    /// The watch was created, or its key deleted: somebody has to look.
    pub fn verify(self: &Arc<Self>, candidate: &Arc<Candidate>) {
        self.add(|state| state.to_verify.push(Arc::downgrade(candidate)));
        self.changed.notify_one();
    }

    fn add(self: &Arc<Self>, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        if std::mem::replace(&mut state.running, true) {
            return;
        }
        drop(state);
        let running = Running {
            minder: self.clone(),
            finished: false,
        };
        self.members.runtime.spawn(Box::pin(running.run()));
    }

    async fn run(&self) {
        loop {
            self.open_watches();
            if !self.verify_some().await {
                // What could not be read is read again.
                sleep_until(&*self.members.runtime, self.now() + AGAIN).await;
                continue;
            }
            let next = {
                let mut state = self.state();
                let next = state.soon.front().map(|(due, _)| *due + TOGETHER);
                if !state.to_verify.is_empty() {
                    continue;
                }
                if next.is_none() {
                    // Under the lock, so that who comes now starts another task.
                    state.running = false;
                }
                next
            };
            let Some(next) = next else { return };
            let woken = race(
                self.changed.notified(),
                sleep_until(&*self.members.runtime, next),
            );
            if let Race::First(()) = woken.await {
                tracing::trace!("keys to be read");
            }
        }
    }

    fn open_watches(&self) {
        let now = self.now();
        let due: Vec<_> = {
            let mut state = self.state();
            let count = state.soon.partition_point(|(due, _)| *due <= now);
            state.soon.drain(..count).collect()
        };
        for candidate in due.iter().filter_map(|(_, candidate)| candidate.upgrade()) {
            candidate.watch_own(&self.hub);
        }
    }

    /// `false` when etcd did not answer.
    async fn verify_some(&self) -> bool {
        let candidates: Vec<_> = {
            let mut state = self.state();
            let count = state.to_verify.len().min(READ_BATCH);
            state.to_verify.drain(..count).collect()
        };
        let candidates: Vec<_> = candidates.iter().filter_map(Weak::upgrade).collect();
        for candidate in &candidates {
            if let Some(leases) = candidate.is_forgotten() {
                // Whoever asks for it finds nothing at etcd either.
                candidate.end();
                self.table.remove(candidate);
                leases.iter().for_each(|lease| self.pool.retire(lease));
            }
        }
        let (candidates, keys): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .filter_map(|candidate| {
                let (key, watch) = candidate.to_verify()?;
                Some(((candidate, watch), key))
            })
            .unzip();
        if keys.is_empty() {
            return true;
        }
        match recipe::read_all(&self.members, &keys).await {
            Ok(entries) => {
                for ((candidate, watch), entry) in candidates.iter().zip(&entries) {
                    candidate.seen(entry.as_ref(), Some(*watch));
                }
                true
            }
            Err(failure) => {
                tracing::debug!(%failure, "the keys of held locks could not be read");
                let mut state = self.state();
                let again = candidates.iter().map(|(one, _)| Arc::downgrade(one));
                state.to_verify.extend(again);
                false
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task. When its runtime drops it unfinished, the next lock starts another.
struct Running {
    minder: Arc<Minder>,
    finished: bool,
}

impl Running {
    async fn run(mut self) {
        self.minder.run().await;
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished {
            self.minder.state().running = false;
        }
    }
}
