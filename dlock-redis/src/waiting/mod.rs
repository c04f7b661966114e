//! Waiting for a lock (R11): one queue entry in Redis for each store instance and name, and a line
//! of the instance's own attempts behind it.
//!
//! - [`line`]: the attempts of this instance that wait for one name, and when the first of them asks.
//! - [`parcel`]: a release that the next in line takes along.
//! - [`place`]: where an attempt waits for its turn.
//! - [`schedule`]: when a waiter looks by itself, should no wakeup come.
//!
//! Only the first in a line asks the server, and takes a release of its own instance along: one
//! request hands the lock over. Wakeups are hints that move the time of its next look; each of them
//! may be lost, early or for nothing.

mod line;
mod parcel;
mod place;
mod schedule;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlock_core::runtime::Runtime;
use dlock_core::store::{AttemptRequest, HeldBy, Place};
use dlock_core::{AttemptId, Grant, Instant};

use crate::connection::failure::Meaning;
use crate::reply::Answer;
use line::Line;
pub(crate) use line::{Ask, Parting, Turn};
pub(crate) use parcel::{Carried, Parcel, Posted, SharedSending};
use place::RedisPlace;
use schedule::Looks;

/// All that wait in one store instance.
pub(crate) struct Waiting {
    runtime: Arc<dyn Runtime>,
    /// The name of this instance in queues and channels.
    participant: String,
    /// For how long a request may be under way.
    response_timeout: Duration,
    /// It was said already that our releases wake nobody.
    mute: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By lock key.
    lines: BTreeMap<String, Line>,
    entries: u64,
    pushes: Pushes,
    /// Which of the tasks that listen for wakeups is the newest.
    listening: u64,
}

/// Whether wakeups arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pushes {
    /// No: waiters poll.
    #[default]
    No,
    /// Not yet.
    Soon,
    /// Yes.
    Yes,
}

impl Waiting {
    pub fn new(runtime: Arc<dyn Runtime>, response_timeout: Duration) -> Arc<Self> {
        let participant = format!("{:016x}{:016x}", runtime.random(), runtime.random());
        Arc::new(Self {
            runtime,
            participant,
            response_timeout,
            mute: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    pub fn participant(&self) -> &str {
        &self.participant
    }

    /// What an attempt that may queue does now: ask the server, or wait behind others of this
    /// instance.
    pub fn turn(&self, lock: &str, request: &AttemptRequest) -> Turn {
        let now = self.runtime.now();
        let mut state = self.state();
        if !state.lines.contains_key(lock) {
            let entry = self.next_entry(&mut state);
            state.lines.insert(lock.to_owned(), Line::new(entry, now));
        }
        match state.lines.get_mut(lock) {
            Some(line) => line.turn(request, now, self.response_timeout),
            None => unreachable!("a line was put there"),
        }
    }

    /// The server has answered an attempt that asked.
    pub fn answered(&self, lock: &str, id: AttemptId, ask: &Ask, answer: &Answer) {
        self.with_line(lock, |line, looks, now| {
            line.answered(id, ask, answer, looks, now);
        });
    }

    /// Leaves a release for the next in line to take along, if somebody waits there.
    pub fn post<'a>(&'a self, lock: &'a str, grant: Grant) -> Option<Posted<'a>> {
        self.with_line(lock, |line, _, now| {
            line.takes_a_release().then(|| {
                let (parcel, posted) = Posted::new(self, lock, grant);
                line.post(parcel, now);
                posted
            })
        })?
    }

    /// An attempt's request is one that its releaser may send and hear as well.
    pub fn flies(&self, lock: &str, id: AttemptId, shared: SharedSending) {
        self.with_line(lock, |line, _, _| line.flies(id, shared));
    }

    /// Such a request of an attempt, to be heard before anything else is done for it.
    pub fn landed(&self, lock: &str, id: AttemptId) -> Option<SharedSending> {
        self.with_line(lock, |line, _, _| line.landed(id))?
    }

    /// There was no useful answer.
    pub fn failed(&self, lock: &str, id: AttemptId, ask: &Ask, meaning: Meaning) {
        self.with_line(lock, |line, _, now| line.failed(id, ask, meaning, now));
    }

    /// The attempt is given up, whatever it has: out of the line it goes.
    pub fn part(&self, lock: &str, id: AttemptId) -> Parting {
        let now = self.runtime.now();
        let mut state = self.state();
        let fresh = self.next_entry(&mut state);
        let Some(line) = state.lines.get_mut(lock) else {
            return Parting::stranger();
        };
        let parting = line.part(id, fresh, now);
        Self::tidy(&mut state, lock);
        parting
    }

    /// A lock is given back: the entry to take out with it, when nobody waits here any more.
    pub fn leave(&self, lock: &str) -> Option<String> {
        let mut state = self.state();
        state.lines.get(lock)?;
        let fresh = self.next_entry(&mut state);
        let leaving = state.lines.get_mut(lock)?.leave(fresh);
        Self::tidy(&mut state, lock);
        leaving
    }

    /// Whether somebody waits here.
    pub fn is_needed(&self) -> bool {
        !self.state().lines.is_empty()
    }

    /// A wakeup: look at this lock in so long.
    pub fn hint(&self, lock: &str, delay: Duration) {
        self.with_line(lock, |line, _, now| line.hint(now + delay));
    }

    /// Somebody begins to listen for wakeups, and says with this number how it goes.
    pub fn begin_pushes(&self) -> u64 {
        let run = {
            let mut state = self.state();
            state.listening += 1;
            state.listening
        };
        self.set_pushes(run, Pushes::Soon);
        run
    }

    /// Wakeups arrive from now on, or no more. What happened meanwhile is not known: everybody looks.
    pub fn set_pushes(&self, run: u64, pushes: Pushes) {
        let now = self.runtime.now();
        let mut state = self.state();
        if run != state.listening || std::mem::replace(&mut state.pushes, pushes) == pushes {
            return;
        }
        for line in state.lines.values_mut() {
            let looks = Looks {
                pushes,
                random: self.runtime.random(),
            };
            line.hint(now + looks.after_a_change());
        }
    }

    /// A release could not tell those who wait.
    pub fn mute(&self) {
        if !self.mute.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the server lets this user publish no wakeups: others wait seconds for what it releases; allow it the channels dlock:wakeup:*"
            );
        }
    }

    pub fn place(self: &Arc<Self>, lock: &str, id: AttemptId) -> Option<Box<dyn Place>> {
        let wakeup = self.state().lines.get(lock)?.wakeup(id)?;
        Some(Box::new(RedisPlace::new(
            self.clone(),
            lock.to_owned(),
            id,
            wakeup,
        )))
    }

    /// When this attempt is to ask; nothing when it is in no line.
    fn due(&self, lock: &str, id: AttemptId) -> Option<Instant> {
        self.state().lines.get(lock)?.due(id)
    }

    fn with_line<T>(
        &self,
        lock: &str,
        act: impl FnOnce(&mut Line, Looks, Instant) -> T,
    ) -> Option<T> {
        let mut state = self.state();
        let pushes = state.pushes;
        let line = state.lines.get_mut(lock)?;
        let random = self.runtime.random();
        let outcome = act(line, Looks { pushes, random }, self.runtime.now());
        Self::tidy(&mut state, lock);
        Some(outcome)
    }

    fn next_entry(&self, state: &mut State) -> String {
        state.entries += 1;
        format!("{}:{}", self.participant, state.entries)
    }

    /// Forgets a line that nobody needs.
    fn tidy(state: &mut State, lock: &str) {
        if let Some(line) = state.lines.get_mut(lock) {
            line.return_parcel();
            if line.is_unused() {
                state.lines.remove(lock);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Waiting")
            .field("names", &state.lines.len())
            .field("pushes", &state.pushes)
            .finish_non_exhaustive()
    }
}

/// Who holds a lock that an attempt waits for without having asked.
#[derive(Clone, Debug, Default)]
struct LastSeen {
    held_by: HeldBy,
    at: Option<Instant>,
}

impl LastSeen {
    fn now(&self, now: Instant) -> HeldBy {
        let passed = self.at.map_or(Duration::ZERO, |at| now.since(at));
        let left = self.held_by.time_left;
        HeldBy::new(
            self.held_by.label.clone(),
            left.map(|left| left.saturating_sub(passed)),
        )
    }
}
