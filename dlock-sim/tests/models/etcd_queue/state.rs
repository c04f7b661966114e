//! Everything at one moment.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::attempt::{Attempt, Step};
use super::store::{
    Answer, AttemptId, Entry, LeaseId, MOST_LEASES, Operation, Revision, Standing, Store,
};
use super::{Defence, Queue};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub store: Store,
    pub leases: [Lease; MOST_LEASES],
    pub attempts: Vec<Attempt>,
    /// Given up by their senders, and still on their way.
    pub requests: Vec<Request>,
    /// The highest token that the resource has seen.
    pub fence: Revision,
    /// The token of the last grant that etcd has made.
    pub newest_token: Revision,
    pub give_ups: u8,
    pub duplicates: u8,
    pub broken: Option<Broken>,
}

/// A lease as the pool knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    pub used: Use,
    /// The client's deadline has passed: nobody believes in it any more.
    pub lapsed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Use {
    #[default]
    Never,
    ByAttempt,
    /// It may serve another.
    Idle,
    /// It is being revoked.
    Retired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Request {
    pub from: AttemptId,
    pub operation: Operation,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered,
    /// It is applied later or never, and its answer is not heard.
    GivenUp,
    /// It is answered, and comes once more.
    Twice,
}

/// Harm that a state alone does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Broken {
    /// S3.
    StaleEffect,
    /// S4.
    TokenNotHigher,
    /// S5.
    EntryOfAnother,
}

impl State {
    pub fn new(queue: &Queue) -> Self {
        Self {
            store: Store::default(),
            leases: [Lease::default(); MOST_LEASES],
            attempts: queue.modes.iter().map(|_| Attempt::default()).collect(),
            requests: Vec::new(),
            fence: 0,
            newest_token: 0,
            give_ups: queue.give_ups,
            duplicates: queue.duplicates,
            broken: None,
        }
    }

    /// A lease that the pool gives to the next attempt: a warm one, or a new one.
    pub fn free_lease(&self, queue: &Queue) -> Option<LeaseId> {
        let leases = &self.leases[..queue.leases];
        let of = |used| leases.iter().position(|lease| lease.used == used);
        of(Use::Idle).or_else(|| of(Use::Never))
    }

    pub fn retire(&mut self, lease: LeaseId) {
        self.leases[lease].used = Use::Retired;
    }

    pub fn give_back(&mut self, lease: LeaseId) {
        let usable = !self.leases[lease].lapsed && self.leases[lease].used == Use::ByAttempt;
        self.leases[lease].used = if usable { Use::Idle } else { Use::Retired };
    }

    /// Sends a request. `false`: it could not be made.
    pub fn send(&mut self, from: AttemptId, step: Step, fate: Fate, queue: &Queue) -> bool {
        let Some(operation) = self.request(from, step, queue) else {
            return false;
        };
        let request = Request { from, operation };
        if fate != Fate::Answered {
            self.requests.push(request);
        }
        match fate {
            Fate::Answered => {}
            Fate::Twice => self.duplicates -= 1,
            Fate::GivenUp => {
                self.give_ups -= 1;
                // Nobody counts on the removal of a head.
                self.attempts[from].in_doubt |= step != Step::PassOver;
                return true;
            }
        }
        let answer = self.apply(request, queue);
        self.hear(from, answer, queue);
        true
    }

    /// A request arrives late.
    pub fn arrive(&mut self, request: Request, queue: &Queue) {
        if let Some(at) = self.requests.iter().position(|one| *one == request) {
            self.requests.remove(at);
            self.apply(request, queue);
        }
    }

    fn apply(&mut self, request: Request, queue: &Queue) -> Answer {
        let before = self.store.clone();
        let answer = self.store.apply(request.from, request.operation, queue);
        self.judge(&before, &request);
        answer
    }

    fn judge(&mut self, before: &Store, request: &Request) {
        for key in 0..MOST_LEASES {
            let (was, is) = (before.entries[key], self.store.entries[key]);
            if was == is {
                continue;
            }
            let token_if_held = |entry: Option<Entry>| {
                let held = entry.filter(|entry| entry.standing == Standing::Holding);
                held.map(|entry| entry.created)
            };
            if let Some(token) = token_if_held(is).filter(|_| token_if_held(was).is_none()) {
                if token <= self.newest_token {
                    self.broken = Some(Broken::TokenNotHigher);
                }
                self.newest_token = self.newest_token.max(token);
            }
            let Some(was) = was else { continue };
            let counted_on = |(id, attempt): (AttemptId, &Attempt)| {
                id != request.from && attempt.counts_on(key, was.created)
            };
            let passed_over = matches!(request.operation, Operation::PassOver { .. })
                && was.standing == Standing::Waiting
                && before.head() == Some(was);
            let taken_over = is.is_some() && was.owner != request.from;
            let harmed = self.attempts.iter().enumerate().any(counted_on) && !passed_over;
            if taken_over || harmed {
                self.broken = Some(Broken::EntryOfAnother);
            }
        }
    }

    /// A holder, which may have been frozen for long, writes. Whether that changed anything.
    pub fn write(&mut self, token: Revision, queue: &Queue) {
        if token >= self.fence {
            self.fence = token;
        } else if !queue.has(Defence::Fence) {
            self.broken = Some(Broken::StaleEffect);
        }
    }

    /// It has the lock, as far as it knows.
    pub fn believes(&self, id: AttemptId) -> bool {
        let attempt = &self.attempts[id];
        attempt.holds()
            && attempt
                .lease
                .is_some_and(|lease| !self.leases[lease].lapsed)
    }

    /// Forgets what changes nothing any more, so that fewer states differ: requests without effect that nobody
    /// hears of, and leases that nothing can be put under.
    pub fn tidy(&mut self) {
        self.forget_requests();
        for (id, lease) in self.leases.iter_mut().enumerate() {
            let named = |request: &Request| matches!(request.operation, Operation::Enter { key, .. } if key == id);
            let unused = self.store.entries[id].is_none() && !self.requests.iter().any(named);
            let ends = lease.lapsed || lease.used == Use::Retired;
            self.store.ended[id] |= ends && unused;
            lease.lapsed &= lease.used != Use::Retired;
        }
    }

    fn forget_requests(&mut self) {
        let store = &self.store;
        self.requests.retain(|request| {
            let entry = |key: LeaseId, created| {
                let own = store.entries[key];
                own.filter(|entry| entry.created == created)
            };
            match request.operation {
                Operation::Enter { key, .. } | Operation::Leave { key, created: 0 } => {
                    !store.ended[key]
                }
                Operation::Leave { key, created } => entry(key, created).is_some(),
                Operation::Confirm {
                    key,
                    created,
                    modified,
                }
                | Operation::PassOver {
                    key,
                    created,
                    modified,
                } => entry(key, created).is_some_and(|entry| entry.modified == modified),
            }
        });
    }

    /// The same with other numbers: only the order of revisions matters.
    fn renumbered(&self) -> Self {
        let mut state = self.clone();
        let mut seen = 1_u64;
        state.each_revision(&mut |revision| seen |= 1 << *revision);
        state.each_revision(&mut |revision| {
            let below = seen & ((1 << *revision) - 1);
            *revision = below.count_ones();
        });
        state.requests.sort_unstable();
        state
    }

    fn each_revision(&mut self, change: &mut impl FnMut(&mut Revision)) {
        for entry in self.store.entries.iter_mut().flatten() {
            change(&mut entry.created);
            change(&mut entry.modified);
        }
        for attempt in &mut self.attempts {
            change(&mut attempt.created);
            change(&mut attempt.modified);
        }
        for request in &mut self.requests {
            match &mut request.operation {
                Operation::Enter { .. } => {}
                Operation::Leave { created, .. } => change(created),
                Operation::Confirm {
                    created, modified, ..
                }
                | Operation::PassOver {
                    created, modified, ..
                } => {
                    change(created);
                    change(modified);
                }
            }
        }
        change(&mut self.fence);
        change(&mut self.newest_token);
        // The next one is higher than all.
        self.store.revision = 0;
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self {
            store,
            leases,
            attempts,
            requests,
            fence,
            newest_token,
            give_ups,
            duplicates,
            broken,
        } = self.renumbered();
        (store, leases, attempts, requests).hash(hasher);
        (fence, newest_token, give_ups, duplicates, broken).hash(hasher);
    }
}

/// One line for a path that is printed.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut queue: Vec<_> = self.store.entries.iter().enumerate().collect();
        queue.sort_by_key(|(_, entry)| entry.map(|entry| entry.created));
        for (key, entry) in queue {
            if let Some(entry) = entry {
                let (created, modified) = (entry.created, entry.modified);
                let name = name(entry.owner);
                write!(
                    f,
                    "[key {key}: {name} {:?} {created}/{modified}] ",
                    entry.standing
                )?;
            }
        }
        for id in 0..self.attempts.len() {
            if self.believes(id) {
                write!(f, "{} believes. ", name(id))?;
            }
        }
        match self.broken {
            Some(broken) => write!(f, "{broken:?}"),
            None => Ok(()),
        }
    }
}

pub(super) fn name(id: AttemptId) -> char {
    ['A', 'B', 'C', 'D'][id]
}
