//! What an attempt sends, and what it makes of the answers.

use super::state::{State, Use};
use super::store::{Answer, Ask, AttemptId, LeaseId, Operation, Revision};
use super::{Defence, Mode, Queue};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    pub stage: Stage,
    /// It was named after the first lease that it was written under.
    pub key: Option<LeaseId>,
    pub lease: Option<LeaseId>,
    /// The token of its grant.
    pub created: Revision,
    pub modified: Revision,
    /// R3: a request that was given up may still be applied.
    pub in_doubt: bool,
    /// It has lost a place in the queue.
    pub queued_anew: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    #[default]
    New,
    Waiting,
    Held,
    /// It is being released.
    Over,
    Done,
}

/// What an attempt may ask etcd for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Enter(Ask),
    Confirm,
    PassOver,
    Leave,
}

impl Attempt {
    pub fn has_begun(&self) -> bool {
        self.stage != Stage::New || self.key.is_some()
    }

    pub fn holds(&self) -> bool {
        self.stage == Stage::Held
    }

    /// It knows of this entry as its own.
    pub fn counts_on(&self, key: LeaseId, created: Revision) -> bool {
        let alive = matches!(self.stage, Stage::Waiting | Stage::Held);
        alive && self.key == Some(key) && self.created == created
    }

    /// How it asks for the lock.
    pub fn asks(&self, mode: Mode) -> &'static [Ask] {
        match mode {
            Mode::Queue => &[Ask::OrQueue, Ask::Queue],
            Mode::Try if self.in_doubt => &[Ask::AgainIfFree],
            Mode::Try => &[Ask::IfFree],
        }
    }
}

impl State {
    /// The request that the attempt sends next. `None`: there is no lease for it.
    pub fn request(&mut self, id: AttemptId, step: Step, queue: &Queue) -> Option<Operation> {
        if let Step::Enter(ask) = step {
            let key = self.lease_to_enter_with(id, queue)?;
            return Some(Operation::Enter { key, ask });
        }
        let attempt = &mut self.attempts[id];
        let (created, modified) = (attempt.created, attempt.modified);
        let key = attempt.key?;
        Some(match step {
            Step::Enter(_) => return None,
            Step::Confirm => Operation::Confirm {
                key,
                created,
                modified,
            },
            Step::Leave => {
                attempt.stage = Stage::Over;
                Operation::Leave { key, created }
            }
            Step::PassOver => {
                let head = self.store.head()?;
                Operation::PassOver {
                    key: self.store.key_of(head.created)?,
                    created: head.created,
                    modified: head.modified,
                }
            }
        })
    }

    fn lease_to_enter_with(&mut self, id: AttemptId, queue: &Queue) -> Option<LeaseId> {
        let usable = |lease: &LeaseId| !self.leases[*lease].lapsed;
        if let Some(lease) = self.attempts[id].lease.filter(usable) {
            return Some(lease);
        }
        let lease = self.free_lease(queue)?;
        if let Some(old) = self.attempts[id].lease {
            self.retire(old);
        }
        self.leases[lease].used = Use::ByAttempt;
        let attempt = &mut self.attempts[id];
        (attempt.lease, attempt.key) = (Some(lease), Some(lease));
        Some(lease)
    }

    pub fn hear(&mut self, id: AttemptId, answer: Answer, queue: &Queue) {
        let attempt = &mut self.attempts[id];
        match answer {
            Answer::Granted { created } => {
                attempt.stage = Stage::Held;
                (attempt.created, attempt.modified) = (created, created);
            }
            Answer::Queued(own) if own.owner == id || !queue.has(Defence::OwnId) => {
                attempt.stage = Stage::Waiting;
                (attempt.created, attempt.modified) = (own.created, own.modified);
            }
            Answer::Busy if attempt.in_doubt => {}
            Answer::Busy => self.end(id, true),
            Answer::Holding { modified } => {
                attempt.stage = Stage::Held;
                attempt.modified = attempt.modified.max(modified);
            }
            Answer::Waiting { modified } => attempt.modified = attempt.modified.max(modified),
            Answer::Queued(_) | Answer::NoSuchLease | Answer::Gone => self.start_anew(id),
            // The answer of a removal of somebody else.
            Answer::Removed(_) if attempt.stage != Stage::Over => {}
            Answer::Removed(removed) => {
                // R3: a late request can come true only with a lease that lives.
                let reusable = match attempt.in_doubt {
                    true => !queue.has(Defence::NoLeaseInDoubt),
                    false => removed,
                };
                self.end(id, reusable);
            }
        }
    }

    /// Its entry is gone: the next one stands at the end of the queue, under another lease.
    fn start_anew(&mut self, id: AttemptId) {
        let attempt = &mut self.attempts[id];
        attempt.queued_anew |= attempt.stage == Stage::Waiting;
        attempt.stage = Stage::New;
        (attempt.created, attempt.modified) = (0, 0);
        if !attempt.in_doubt {
            attempt.key = None;
        }
        if let Some(lease) = attempt.lease.take() {
            self.retire(lease);
        }
    }

    fn end(&mut self, id: AttemptId, reusable: bool) {
        let done = Attempt {
            stage: Stage::Done,
            ..Attempt::default()
        };
        let attempt = std::mem::replace(&mut self.attempts[id], done);
        match attempt.lease {
            Some(lease) if reusable => self.give_back(lease),
            Some(lease) => self.retire(lease),
            None => {}
        }
    }
}
