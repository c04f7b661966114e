use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dlock_core::store::{AttemptRequest, HeldBy};
use dlock_core::{AttemptId, Grant, Instant};
use tokio::sync::Notify;

use super::LastSeen;
use super::parcel::{Parcel, SharedSending};
use super::schedule::{GRACE, Looks};
use crate::connection::failure::Meaning;
use crate::reply::Answer;
use crate::trail;

/// For how long an attempt that is due may keep those behind it waiting (its task may be stuck, or
/// gone): short enough that this instance's turn is not lost.
const PATIENCE: Duration = Duration::from_millis(GRACE.as_millis() as u64 / 2);

/// After a failure the first in line asks again within a second.
const AFTER_FAILURE: Duration = Duration::from_millis(1500);

/// The attempts of this instance that wait for one name, first in, first out, behind one entry in
/// the server's queue.
pub(super) struct Line {
    /// Changes whenever it is taken out, so that a late removal does not touch the next one.
    entry: String,
    waiters: VecDeque<Waiter>,
    /// The server may have the entry.
    entered: bool,
    /// The server has said so.
    confirmed: bool,
    /// When the first in line asks.
    look_at: Instant,
    /// The earliest wakeup since the first in line last asked: perhaps its answer does not know.
    hinted_at: Instant,
    /// How many answers in a row did not come. One may be the connection's end; after a second one
    /// everybody asks for himself until one comes.
    failures: u32,
    last_seen: LastSeen,
    /// A release that whoever asks next takes along.
    parcel: Option<Parcel>,
    /// Who was forgotten though it perhaps has the lock.
    doubtful: Vec<AttemptId>,
}

struct Waiter {
    request: AttemptRequest,
    wakeup: Arc<Notify>,
    /// Its owner knows that it waits, and will release it.
    queued: bool,
    /// It has asked, and there is no answer yet: perhaps it has the lock.
    in_doubt: bool,
    /// A request of it that its releaser may send and hear as well.
    shared: Option<SharedSending>,
}

/// What an attempt does now.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Perhaps with a release of this instance in the same request.
    Ask(Ask, Option<Parcel>),
    Wait(HeldBy),
}

/// What an attempt says of its line when it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub entry: String,
    /// More attempts wait behind this one.
    pub stays: bool,
    /// The entry should be in the queue already.
    pub confirmed: bool,
    /// The server may have had the entry before.
    entered_before: bool,
}

/// What an attempt that is given up has left.
pub(crate) struct Parting {
    /// A request of it that is to be heard first: it may not have been sent yet.
    pub shared: Option<SharedSending>,
    /// The server surely has nothing of it.
    pub nothing_there: bool,
    /// The entry to take out, since nobody waits here any more.
    pub leaving: Option<String>,
}

impl Parting {
    pub fn stranger() -> Self {
        Self {
            shared: None,
            nothing_there: false,
            leaving: None,
        }
    }
}

impl Line {
    pub fn new(entry: String, now: Instant) -> Self {
        Self {
            entry,
            waiters: VecDeque::new(),
            entered: false,
            confirmed: false,
            look_at: now,
            hinted_at: Instant::FAR_FUTURE,
            failures: 0,
            last_seen: LastSeen::default(),
            parcel: None,
            doubtful: Vec::new(),
        }
    }

    /// Nobody is left to take a release along.
    pub fn return_parcel(&mut self) {
        if self.waiters.is_empty() {
            self.parcel = None;
        }
    }

    pub fn is_unused(&self) -> bool {
        self.waiters.is_empty() && !self.entered
    }

    pub fn turn(
        &mut self,
        request: &AttemptRequest,
        now: Instant,
        response_timeout: Duration,
    ) -> Turn {
        let position = self.position(request.id).unwrap_or_else(|| {
            let in_doubt = self.is_doubtful(request.id) || !trail::is_final(&request.trail, None);
            self.waiters.push_back(Waiter {
                request: request.clone(),
                wakeup: Arc::new(Notify::new()),
                queued: false,
                in_doubt,
                shared: None,
            });
            self.waiters.len() - 1
        });
        let asks_anyway = self.is_failing() || self.waiters[position].in_doubt;
        if position > 0 && !asks_anyway && now < self.due_at(position) {
            self.waiters[position].queued = true;
            return Turn::Wait(self.last_seen.now(now));
        }
        let at = if asks_anyway { position } else { 0 };
        if !asks_anyway {
            // Those before it did not ask when they were due. Who is still there comes back, to the
            // end.
            let passed_over = self.waiters.drain(..position);
            let doubtful = passed_over.filter(|waiter| waiter.in_doubt);
            self.doubtful
                .extend(doubtful.map(|waiter| waiter.request.id));
        }
        let parcel = self.parcel.take_if(|_| at == 0);
        Turn::Ask(self.ask(at, now, response_timeout), parcel)
    }

    /// Also forgets it.
    fn is_doubtful(&mut self, id: AttemptId) -> bool {
        let before = self.doubtful.len();
        self.doubtful.retain(|doubtful| *doubtful != id);
        self.doubtful.len() < before
    }

    fn is_failing(&self) -> bool {
        self.failures > 1
    }

    fn ask(&mut self, position: usize, now: Instant, response_timeout: Duration) -> Ask {
        self.look_at = now + response_timeout;
        self.hinted_at = Instant::FAR_FUTURE;
        let entered_before = std::mem::replace(&mut self.entered, true);
        let stays = self.waiters.len() > 1;
        let waiter = &mut self.waiters[position];
        waiter.in_doubt = true;
        Ask {
            entry: self.entry.clone(),
            stays,
            confirmed: self.confirmed,
            entered_before,
        }
    }

    /// Whether the first in line would take a release along: it waits in its place, and nothing is
    /// under way for it.
    pub fn takes_a_release(&self) -> bool {
        let is_ready = self.waiters.front().is_some_and(|waiter| {
            let in_its_place = Arc::strong_count(&waiter.wakeup) > 1;
            in_its_place && waiter.queued && !waiter.in_doubt
        });
        is_ready && self.failures == 0 && self.parcel.is_none()
    }

    /// Leaves a release for the first in line, who asks at once.
    pub fn post(&mut self, parcel: Parcel, now: Instant) {
        self.parcel = Some(parcel);
        self.hint(now);
    }

    /// Nobody takes the release along any more.
    pub fn take_back(&mut self, grant: Grant) {
        self.parcel.take_if(|parcel| parcel.grant == grant);
    }

    /// Its request is one that its releaser may send and hear as well.
    pub fn flies(&mut self, id: AttemptId, shared: SharedSending) {
        if let Some(waiter) = self.find(id) {
            waiter.shared = Some(shared);
        }
    }

    pub fn landed(&mut self, id: AttemptId) -> Option<SharedSending> {
        self.find(id)?.shared.take()
    }

    pub fn answered(
        &mut self,
        id: AttemptId,
        ask: &Ask,
        answer: &Answer,
        looks: Looks,
        now: Instant,
    ) {
        if let Some(waiter) = self.find(id) {
            waiter.in_doubt = false;
        }
        self.failures = 0;
        // Of an entry that has been given up meanwhile the answer says nothing any more.
        let current = ask.entry == self.entry;
        match answer {
            Answer::Granted { rank, ttl, .. } => {
                self.remove(id);
                self.last_seen = LastSeen::default();
                if current {
                    self.entered = ask.stays;
                    self.confirmed = rank.is_some();
                }
                let look_at = match rank {
                    Some(_) if current => now + looks.after(*rank, Some(*ttl), false),
                    _ => now,
                };
                self.next_look(look_at);
            }
            // What an earlier request has left of the entry is not known.
            Answer::Earlier { .. } => {
                self.remove(id);
                self.confirmed = false;
                self.next_look(now);
            }
            Answer::Busy { held_by, rank } => {
                self.is_entered(current, *rank);
                self.last_seen = LastSeen {
                    held_by: held_by.clone(),
                    at: Some(now),
                };
                self.next_look(now + looks.after(*rank, held_by.time_left, false));
                self.is_queued(id);
            }
            Answer::Reserved { left, rank } => {
                self.is_entered(current, *rank);
                self.last_seen = LastSeen::default();
                self.next_look(now + looks.after(*rank, Some(*left), true));
                self.is_queued(id);
            }
        }
    }

    fn is_entered(&mut self, current: bool, rank: Option<u32>) {
        if current {
            self.confirmed = rank.is_some();
            // Another's grant may have taken it out in between, and this answer is of later.
            self.entered |= rank.is_some();
        }
    }

    pub fn failed(&mut self, id: AttemptId, ask: &Ask, meaning: Meaning, now: Instant) {
        self.confirmed = false;
        if meaning != Meaning::Indeterminate {
            let in_doubt = |waiter: &Waiter| waiter.request.id != id && waiter.in_doubt;
            if ask.entry == self.entry && !ask.entered_before && !self.waiters.iter().any(in_doubt)
            {
                self.entered = false;
            }
            // Its owner releases only what may be in the server.
            self.waiters.retain(|waiter| {
                let is_clear = trail::is_final(&waiter.request.trail, None);
                waiter.request.id != id || waiter.queued || !is_clear
            });
        }
        if meaning == Meaning::Rejected {
            self.next_look(now);
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.look_at = now + AFTER_FAILURE;
        if self.is_failing() {
            self.waiters
                .iter()
                .for_each(|waiter| waiter.wakeup.notify_one());
        } else {
            self.notify();
        }
    }

    /// Takes an attempt out.
    pub fn part(&mut self, id: AttemptId, fresh: String, now: Instant) -> Parting {
        let position = self.position(id);
        let mut waiter = position.and_then(|at| self.waiters.remove(at));
        let was_in_doubt = waiter.as_ref().is_some_and(|waiter| waiter.in_doubt);
        if position == Some(0) || was_in_doubt {
            // It may have taken a wakeup with it.
            self.hinted_at = self.hinted_at.min(now);
            self.next_look(self.look_at.min(now));
        }
        self.is_doubtful(id);
        Parting {
            shared: waiter.as_mut().and_then(|waiter| waiter.shared.take()),
            // It was in line, so it has not got the lock; unless it does not know yet. (An answer that
            // its releaser has read is not in the trail any more.)
            nothing_there: waiter.is_some_and(|waiter| {
                !waiter.in_doubt && trail::is_final(&waiter.request.trail, None)
            }),
            leaving: self.leave(fresh),
        }
    }

    /// The entry to take out of the server's queue, if nobody waits here any more. If that fails, it
    /// expires by itself.
    pub fn leave(&mut self, fresh: String) -> Option<String> {
        let leaves = self.waiters.is_empty() && self.entered;
        leaves.then(|| {
            self.entered = false;
            self.confirmed = false;
            std::mem::replace(&mut self.entry, fresh)
        })
    }

    /// The first in line asks then, if not earlier.
    pub fn hint(&mut self, at: Instant) {
        self.hinted_at = self.hinted_at.min(at);
        if at < self.look_at {
            self.look_at = at;
            self.notify();
        }
    }

    pub fn wakeup(&self, id: AttemptId) -> Option<Arc<Notify>> {
        self.position(id)
            .map(|position| self.waiters[position].wakeup.clone())
    }

    pub fn due(&self, id: AttemptId) -> Option<Instant> {
        let position = self.position(id)?;
        Some(if self.is_failing() {
            Instant::ORIGIN
        } else {
            self.due_at(position)
        })
    }

    fn due_at(&self, position: usize) -> Instant {
        let places = u32::try_from(position).unwrap_or(u32::MAX);
        self.look_at + PATIENCE.saturating_mul(places)
    }

    fn next_look(&mut self, at: Instant) {
        self.look_at = at.min(self.hinted_at);
        self.notify();
    }

    /// The first in line sets its timer anew; and a few more, should it be stuck, or not be polled.
    fn notify(&self) {
        self.waiters
            .iter()
            .take(8)
            .for_each(|waiter| waiter.wakeup.notify_one());
    }

    fn is_queued(&mut self, id: AttemptId) {
        if let Some(waiter) = self.find(id) {
            waiter.queued = true;
        }
    }

    fn find(&mut self, id: AttemptId) -> Option<&mut Waiter> {
        self.waiters
            .iter_mut()
            .find(|waiter| waiter.request.id == id)
    }

    fn position(&self, id: AttemptId) -> Option<usize> {
        self.waiters
            .iter()
            .position(|waiter| waiter.request.id == id)
    }

    fn remove(&mut self, id: AttemptId) {
        self.waiters.retain(|waiter| waiter.request.id != id);
    }
}

#[cfg(test)]
mod tests;
