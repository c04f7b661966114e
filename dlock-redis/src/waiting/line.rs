use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use dlock_core::store::{AttemptRequest, Expiry, Granted, HeldBy};
use dlock_core::{AttemptId, Instant};
use tokio::sync::Notify;

use super::LastSeen;
use super::schedule::{GRACE, Looks};
use crate::connection::failure::Meaning;
use crate::reply::{Answer, HandedOver};
use crate::trail::{self, Sending};

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
    /// A release asks for the first in line as well.
    handing_over: bool,
    /// What such releases have brought, until its owner comes for it.
    handed_over: Vec<Granted>,
}

struct Waiter {
    request: AttemptRequest,
    wakeup: Arc<Notify>,
    /// Its owner knows that it waits, and will release it.
    queued: bool,
    /// It has asked, and there is no answer yet: perhaps it has the lock.
    in_doubt: bool,
    /// A release has asked for it that was not answered.
    asked_for: Option<AskedFor>,
}

#[derive(Clone, Copy)]
struct AskedFor {
    at: Instant,
    /// It has asked for itself since.
    also_itself: bool,
}

/// What an attempt does now.
#[derive(Debug)]
pub(crate) enum Turn {
    Ask(Ask),
    Wait(HeldBy),
    /// A release has brought the grant already.
    Take(Granted),
}

/// What an attempt says of its line when it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub entry: String,
    /// More attempts wait behind this one.
    pub stays: bool,
    /// The entry should be in the queue already.
    pub confirmed: bool,
    /// When a release asked for this attempt that was not answered: an earlier grant may be of then.
    pub asked_for_at: Option<Instant>,
    /// That release is still under way.
    pub beside_release: bool,
    /// The server may have had the entry before.
    entered_before: bool,
}

/// An attempt for which a release asks.
#[derive(Debug)]
pub(crate) struct HandOver {
    pub request: AttemptRequest,
    pub ask: Ask,
    sent_at: Instant,
    sending: Sending,
}

/// What an attempt that is given up has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parting {
    /// The server surely has nothing of it.
    pub nothing_there: bool,
    /// The entry to take out, since nobody waits here any more.
    pub leaving: Option<String>,
}

impl Parting {
    pub fn stranger() -> Self {
        Self {
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
            handing_over: false,
            handed_over: Vec::new(),
        }
    }

    pub fn is_unused(&self) -> bool {
        self.waiters.is_empty()
            && self.handed_over.is_empty()
            && !self.entered
            && !self.handing_over
    }

    pub fn turn(
        &mut self,
        request: &AttemptRequest,
        now: Instant,
        response_timeout: Duration,
    ) -> Turn {
        if let Some(granted) = self.claim(request.id) {
            return Turn::Take(granted);
        }
        let position = self.position(request.id).unwrap_or_else(|| {
            self.waiters.push_back(Waiter {
                request: request.clone(),
                wakeup: Arc::new(Notify::new()),
                queued: false,
                in_doubt: !trail::is_final(&request.trail, None),
                asked_for: None,
            });
            self.waiters.len() - 1
        });
        let asks_anyway = self.is_failing() || self.waiters[position].in_doubt;
        if position > 0 && !asks_anyway && now < self.due_at(position) {
            self.waiters[position].queued = true;
            return Turn::Wait(self.last_seen.now(now));
        }
        if asks_anyway {
            return Turn::Ask(self.ask(position, now, response_timeout));
        }
        // Those before it did not ask when they were due. Who is still there comes back, to the end;
        // only what is known of a release that asked for it must not be forgotten.
        let passed_over: Vec<_> = self.waiters.drain(..position).collect();
        let known = passed_over
            .into_iter()
            .filter(|waiter| waiter.asked_for.is_some());
        self.waiters.extend(known);
        Turn::Ask(self.ask(0, now, response_timeout))
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
        if let Some(asked_for) = &mut waiter.asked_for {
            asked_for.also_itself = true;
        }
        Ask {
            entry: self.entry.clone(),
            stays,
            confirmed: self.confirmed,
            asked_for_at: waiter.asked_for.map(|asked_for| asked_for.at),
            beside_release: self.handing_over && waiter.asked_for.is_some(),
            entered_before,
        }
    }

    /// The lock is being given back, over this connection: the first in line may ask with it, if
    /// nothing else is under way for it. On record when this returns (R3).
    pub fn hand_over(
        &mut self,
        now: Instant,
        response_timeout: Duration,
        connection: Option<NonZeroU64>,
    ) -> Option<HandOver> {
        let waiter = self.waiters.front()?;
        let is_clear =
            waiter.queued && !waiter.in_doubt && trail::is_final(&waiter.request.trail, None);
        if self.failures > 0 || self.handing_over || !is_clear {
            return None;
        }
        let ask = self.ask(0, now, response_timeout);
        self.handing_over = true;
        let waiter = self.waiters.front_mut()?;
        waiter.in_doubt = false;
        waiter.asked_for = Some(AskedFor {
            at: now,
            also_itself: false,
        });
        let request = waiter.request.clone();
        Some(HandOver {
            sending: Sending::over(&request.trail, connection),
            request,
            ask,
            sent_at: now,
        })
    }

    /// A release that has asked for an attempt is over. `None`: what came of it is not known.
    pub fn handed_over(
        &mut self,
        hand_over: HandOver,
        answer: Option<&HandedOver>,
        looks: Looks,
        now: Instant,
    ) {
        let HandOver {
            request,
            ask,
            sent_at,
            sending,
        } = hand_over;
        self.handing_over = false;
        if let Some(answer) = answer
            && let Some(waiter) = self.find(request.id)
        {
            if waiter
                .asked_for
                .is_some_and(|asked_for| !asked_for.also_itself)
            {
                waiter.asked_for = None;
                sending.settled();
            }
            if let HandedOver::Answer(Answer::Granted { grant, .. }) = answer {
                waiter.wakeup.notify_one();
                self.handed_over.push(Granted {
                    grant: *grant,
                    expiry: Expiry::At(sent_at),
                });
            }
        }
        if let Some(HandedOver::Answer(answer)) = answer {
            self.settle(request.id, &ask, answer, looks, now);
        } else {
            self.hinted_at = self.hinted_at.min(now);
            self.next_look(now);
        }
    }

    /// What a release has brought for this attempt.
    pub fn claim(&mut self, id: AttemptId) -> Option<Granted> {
        let at = self
            .handed_over
            .iter()
            .position(|granted| granted.grant.id == id)?;
        Some(self.handed_over.swap_remove(at))
    }

    /// An attempt that asked for itself has its answer; a better one is returned, if a release has
    /// brought it meanwhile.
    pub fn answered(
        &mut self,
        id: AttemptId,
        ask: &Ask,
        answer: &Answer,
        looks: Looks,
        now: Instant,
    ) -> Option<Granted> {
        if let Some(waiter) = self.find(id) {
            waiter.in_doubt = false;
        }
        self.settle(id, ask, answer, looks, now);
        self.claim(id)
    }

    fn settle(&mut self, id: AttemptId, ask: &Ask, answer: &Answer, looks: Looks, now: Instant) {
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
            let in_doubt = |waiter: &Waiter| {
                waiter.request.id != id && waiter.in_doubt || waiter.asked_for.is_some()
            };
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
        self.claim(id);
        let position = self.position(id);
        let waiter = position.and_then(|at| self.waiters.remove(at));
        if position == Some(0) {
            // It may have taken a wakeup with it.
            self.hint(now);
        }
        Parting {
            // It was in line, so it has not got the lock; unless it does not know yet.
            nothing_there: waiter
                .is_some_and(|waiter| trail::is_final(&waiter.request.trail, None)),
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
        // What is under way may bring more than an own look.
        if at < self.look_at && !self.handing_over {
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
