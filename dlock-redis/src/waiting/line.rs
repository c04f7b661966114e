use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dlock_core::store::HeldBy;
use dlock_core::{AttemptId, Instant};
use tokio::sync::Notify;

use super::LastSeen;
use super::schedule::{GRACE, Looks};
use crate::connection::failure::Meaning;
use crate::reply::Answer;

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
    /// An old entry, to be taken out.
    leaving: Option<String>,
    /// When the first in line asks.
    look_at: Instant,
    /// The earliest wakeup since the first in line last asked: perhaps its answer does not know.
    hinted_at: Instant,
    /// The last answer did not come: everybody asks for himself until one does.
    failing: bool,
    last_seen: LastSeen,
}

struct Waiter {
    id: AttemptId,
    wakeup: Arc<Notify>,
    /// It may have something in the server, so its release has to go there.
    sent: bool,
    /// Its owner knows that it waits, and will release it.
    queued: bool,
}

/// What an attempt does now.
pub(crate) enum Turn {
    Ask(Ask),
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
}

/// What an attempt that is given up has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parting {
    /// Nothing was ever sent for it.
    pub unsent: bool,
    /// The entry to take out, since nobody waits here any more.
    pub leaving: Option<String>,
}

impl Parting {
    pub fn stranger() -> Self {
        Self {
            unsent: false,
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
            leaving: None,
            look_at: now,
            hinted_at: Instant::FAR_FUTURE,
            failing: false,
            last_seen: LastSeen::default(),
        }
    }

    pub fn is_unused(&self) -> bool {
        self.waiters.is_empty() && !self.entered && self.leaving.is_none()
    }

    pub fn turn(&mut self, id: AttemptId, now: Instant, response_timeout: Duration) -> Turn {
        let position = self.position(id).unwrap_or_else(|| {
            self.waiters.push_back(Waiter {
                id,
                wakeup: Arc::new(Notify::new()),
                sent: false,
                queued: false,
            });
            self.waiters.len() - 1
        });
        let waits = position > 0 && !self.failing && now < self.due_at(position);
        if waits {
            self.waiters[position].queued = true;
            return Turn::Wait(self.last_seen.now(now));
        }
        if !self.failing {
            // Those before it did not ask when they were due.
            self.waiters.rotate_left(position);
        }
        self.look_at = now + response_timeout;
        self.hinted_at = Instant::FAR_FUTURE;
        if let Some(waiter) = self.waiters.iter_mut().find(|waiter| waiter.id == id) {
            waiter.sent = true;
        }
        let ask = Ask {
            entry: self.entry.clone(),
            stays: self.waiters.len() > 1,
            confirmed: self.confirmed,
        };
        self.entered = true;
        Turn::Ask(ask)
    }

    pub fn answered(
        &mut self,
        id: AttemptId,
        ask: &Ask,
        answer: &Answer,
        looks: Looks,
        now: Instant,
    ) {
        self.failing = false;
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
                if current {
                    self.confirmed = rank.is_some();
                }
                self.last_seen = LastSeen {
                    held_by: held_by.clone(),
                    at: Some(now),
                };
                self.next_look(now + looks.after(*rank, held_by.time_left, false));
                self.is_queued(id);
            }
            Answer::Reserved { left, rank } => {
                if current {
                    self.confirmed = rank.is_some();
                }
                self.last_seen = LastSeen::default();
                self.next_look(now + looks.after(*rank, Some(*left), true));
                self.is_queued(id);
            }
        }
    }

    pub fn failed(&mut self, id: AttemptId, meaning: Meaning, now: Instant) {
        self.confirmed = false;
        // Its owner releases only what may be in the server.
        let nothing_sent = meaning != Meaning::Indeterminate;
        let forgotten =
            nothing_sent && self.position(id).is_some_and(|at| !self.waiters[at].queued);
        if forgotten {
            self.remove(id);
        }
        if meaning != Meaning::Rejected {
            self.failing = true;
            self.look_at = now + AFTER_FAILURE;
            self.waiters
                .iter()
                .for_each(|waiter| waiter.wakeup.notify_one());
        } else {
            self.next_look(now);
        }
    }

    /// Takes an attempt out.
    pub fn part(&mut self, id: AttemptId, fresh: String, now: Instant) -> Parting {
        let waiter = self.position(id).map(|at| (at, self.waiters.remove(at)));
        let unsent = matches!(&waiter, Some((_, Some(waiter))) if !waiter.sent);
        if matches!(waiter, Some((0, _))) {
            // It may have taken a wakeup with it.
            self.hint(now);
        }
        Parting {
            unsent,
            leaving: self.leave(fresh),
        }
    }

    /// The entry to take out of the server's queue, if nobody waits here any more.
    pub fn leave(&mut self, fresh: String) -> Option<String> {
        if self.waiters.is_empty() && self.entered {
            self.leaving = Some(std::mem::replace(&mut self.entry, fresh));
            self.entered = false;
            self.confirmed = false;
        }
        self.leaving.clone()
    }

    pub fn left(&mut self, entry: &str) {
        self.leaving.take_if(|leaving| leaving == entry);
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
        Some(if self.failing {
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

    /// The first in line sets its timer anew, and the second, should the first be stuck.
    fn notify(&self) {
        self.waiters
            .iter()
            .take(2)
            .for_each(|waiter| waiter.wakeup.notify_one());
    }

    fn is_queued(&mut self, id: AttemptId) {
        if let Some(waiter) = self.waiters.iter_mut().find(|waiter| waiter.id == id) {
            waiter.queued = true;
        }
    }

    fn position(&self, id: AttemptId) -> Option<usize> {
        self.waiters.iter().position(|waiter| waiter.id == id)
    }

    fn remove(&mut self, id: AttemptId) {
        self.waiters.retain(|waiter| waiter.id != id);
    }
}

#[cfg(test)]
mod tests {
    use dlock_core::{FencingToken, Grant};

    use super::*;
    use crate::waiting::Pushes;

    const TIMEOUT: Duration = Duration::from_secs(2);
    const LOOKS: Looks = Looks {
        pushes: Pushes::Yes,
        random: 0,
    };

    fn id(bits: u128) -> AttemptId {
        AttemptId::from_bits(bits)
    }

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    /// The attempts 1, 2 and 3; the first has asked at 0 and found the lock held.
    fn line() -> Line {
        let mut line = Line::new("p:1".to_owned(), at(0));
        let ask = asks(&mut line, 1, 0);
        for waiting in [2, 3] {
            assert!(matches!(
                line.turn(id(waiting), at(0), TIMEOUT),
                Turn::Wait(_)
            ));
        }
        line.answered(id(1), &ask, &busy(), LOOKS, at(1));
        line
    }

    fn asks(line: &mut Line, who: u128, ms: u64) -> Ask {
        match line.turn(id(who), at(ms), TIMEOUT) {
            Turn::Ask(ask) => ask,
            Turn::Wait(_) => panic!("{who} waits at {ms} ms"),
        }
    }

    fn busy() -> Answer {
        Answer::Busy {
            held_by: HeldBy::default(),
            rank: Some(0),
        }
    }

    fn granted(who: u128, rank: Option<u32>) -> Answer {
        let token = FencingToken::new(1).unwrap();
        Answer::Granted {
            grant: Grant { id: id(who), token },
            ttl: Duration::from_secs(30),
            rank,
        }
    }

    #[test]
    fn one_after_the_other_and_the_entry_stays_for_the_rest() {
        let mut line = line();
        for (who, stays) in [(1, true), (2, true), (3, false)] {
            line.hint(at(10 * who as u64));
            let ask = asks(&mut line, who, 10 * who as u64);
            assert_eq!(ask.stays, stays);
            line.answered(
                id(who),
                &ask,
                &granted(who, stays.then_some(0)),
                LOOKS,
                at(10 * who as u64 + 1),
            );
        }
        assert!(line.is_unused());
    }

    #[test]
    fn a_wakeup_that_comes_before_the_answer_is_not_lost() {
        let mut line = line();
        line.hint(at(10));
        let ask = asks(&mut line, 1, 10);
        line.hint(at(11));
        line.answered(id(1), &ask, &busy(), LOOKS, at(12));
        assert_eq!(line.due(id(1)), Some(at(11)));
    }

    #[test]
    fn one_that_is_stuck_goes_to_the_end() {
        let mut line = line();
        line.hint(at(10));
        assert!(matches!(line.turn(id(2), at(10), TIMEOUT), Turn::Wait(_)));
        assert_eq!(line.due(id(2)), Some(at(10) + PATIENCE));
        let ask = asks(&mut line, 2, 260);
        line.answered(id(2), &ask, &granted(2, Some(0)), LOOKS, at(261));
        assert!(line.due(id(3)) < line.due(id(1)));
    }

    #[test]
    fn one_that_leaves_with_a_wakeup_passes_it_on() {
        let mut line = line();
        line.hint(at(10));
        let _ = asks(&mut line, 1, 10);
        let parting = line.part(id(1), "p:2".to_owned(), at(11));
        assert_eq!((parting.unsent, parting.leaving), (false, None));
        assert_eq!(line.due(id(2)), Some(at(11)));
    }

    #[test]
    fn the_last_one_to_leave_takes_the_entry_out_and_who_comes_next_has_another() {
        let mut line = line();
        assert!(line.part(id(2), "p:2".to_owned(), at(10)).unsent);
        line.part(id(1), "p:3".to_owned(), at(10));
        let parting = line.part(id(3), "p:4".to_owned(), at(10));
        assert_eq!(parting.leaving.as_deref(), Some("p:1"));
        assert_eq!(asks(&mut line, 4, 11).entry, "p:4");
        line.left("p:1");
        assert!(!line.is_unused());
    }

    #[test]
    fn while_answers_fail_everybody_asks_for_himself() {
        let mut line = line();
        line.hint(at(10));
        let _ = asks(&mut line, 1, 10);
        line.failed(id(1), Meaning::Indeterminate, at(20));
        let ask = asks(&mut line, 3, 20);
        assert!(!ask.confirmed);
        line.answered(id(3), &ask, &busy(), LOOKS, at(21));
        assert!(matches!(line.turn(id(2), at(22), TIMEOUT), Turn::Wait(_)));
    }
}
