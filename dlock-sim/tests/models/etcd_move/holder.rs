//! The entry, the leases, and what the holder makes of them.

use std::fmt;

use super::{Defence, Move};

pub(super) type LeaseId = usize;
/// In ticks.
pub(super) type Duration = u8;

pub(super) const MOST_LEASES: usize = 4;
/// The TTL that the lock was taken with.
pub(super) const FIRST_TTL: Duration = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// `None`: it ended with its lease.
    pub entry: Option<Entry>,
    pub leases: [Option<Lease>; MOST_LEASES],
    /// What the holder knows of the entry.
    pub known: Entry,
    /// A move was not answered.
    pub in_doubt: bool,
    /// How long the holder goes on to believe.
    pub believes_for: Duration,
    /// Puts on their way whose answer nobody hears.
    pub late: Vec<Put>,
    pub give_ups: u8,
    pub elsewhere: Elsewhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub modified: u8,
    pub lease: LeaseId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    pub ttl: Duration,
    pub left: Duration,
    pub ended: bool,
    /// Of the other process.
    pub foreign: bool,
}

/// Puts the entry under `lease` if it was modified at `modified`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Put {
    pub modified: u8,
    pub lease: LeaseId,
}

/// Another process that extends the same grant, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Elsewhere {
    Absent,
    New,
    /// It has read the entry and asked how much is left of its lease.
    Looked {
        entry: Entry,
        left: Duration,
    },
}

impl State {
    pub fn new(model: &Move) -> Self {
        let mut leases = [None; MOST_LEASES];
        leases[0] = Some(Lease::new(FIRST_TTL, false));
        let known = Entry {
            modified: 2,
            lease: 0,
        };
        Self {
            entry: Some(known),
            leases,
            known,
            in_doubt: false,
            believes_for: FIRST_TTL,
            // The request with which it took the lock was sent twice.
            late: vec![Put {
                modified: 1,
                lease: 0,
            }],
            give_ups: model.give_ups,
            elsewhere: match model.elsewhere {
                true => Elsewhere::New,
                false => Elsewhere::Absent,
            },
        }
    }

    /// The holder renews with this TTL. `None`: nothing happens.
    pub fn renew(&mut self, ttl: Duration, answered: bool, model: &Move) -> Option<()> {
        let lease = self.leases[self.known.lease]?;
        let more_left = !lease.ended && lease.left > ttl;
        if self.in_doubt {
            let ttl_of_move = match more_left && model.has(Defence::NeverShorterInDoubt) {
                true => lease.ttl,
                false => ttl,
            };
            return self.move_to(ttl_of_move, ttl, answered, model);
        }
        if lease.ttl == ttl && !lease.foreign {
            let kept = answered.then(|| self.keep(self.known.lease))?;
            if kept.is_some() {
                self.believe(ttl);
            }
            return kept;
        }
        if more_left && model.has(Defence::NeverShorter) {
            self.believe(ttl);
            return Some(());
        }
        self.move_to(ttl, ttl, answered, model)
    }

    fn move_to(
        &mut self,
        ttl_of_move: Duration,
        ttl: Duration,
        answered: bool,
        model: &Move,
    ) -> Option<()> {
        let lease = self.lease_of(ttl_of_move)?;
        self.keep(lease)?;
        let put = Put {
            modified: self.known.modified,
            lease,
        };
        if !answered {
            self.give_ups = self.give_ups.checked_sub(1)?;
            self.in_doubt = model.has(Defence::DoubtRemembered);
            self.late.push(put);
            return Some(());
        }
        let moved = self.put(put, model);
        self.in_doubt = false;
        match self.entry {
            // Not the owner any more.
            None => self.believes_for = 0,
            Some(entry) => {
                self.known = entry;
                if moved {
                    self.believe(ttl);
                }
            }
        }
        Some(())
    }

    /// One that the holder has with this TTL, or a new one.
    fn lease_of(&mut self, ttl: Duration) -> Option<LeaseId> {
        let fits = |lease: &Option<Lease>| {
            lease.is_some_and(|lease| lease.ttl == ttl && !lease.ended && !lease.foreign)
        };
        self.leases
            .iter()
            .position(fits)
            .or_else(|| self.new_lease(ttl, false))
    }

    fn new_lease(&mut self, ttl: Duration, foreign: bool) -> Option<LeaseId> {
        let id = self.leases.iter().position(Option::is_none)?;
        self.leases[id] = Some(Lease::new(ttl, foreign));
        Some(id)
    }

    /// A keepalive. `None`: etcd has ended the lease.
    fn keep(&mut self, lease: LeaseId) -> Option<()> {
        let lease = self.leases[lease].as_mut().filter(|lease| !lease.ended)?;
        lease.left = lease.ttl;
        Some(())
    }

    /// R6: no answer brings the deadline nearer, and none counts that comes behind it.
    fn believe(&mut self, ttl: Duration) {
        if self.believes_for > 0 {
            self.believes_for = self.believes_for.max(ttl);
        }
    }

    pub fn put(&mut self, put: Put, model: &Move) -> bool {
        let exists = self.leases[put.lease].is_some_and(|lease| !lease.ended);
        let Some(entry) = self.entry.as_mut().filter(|_| exists) else {
            return false;
        };
        if entry.modified != put.modified && model.has(Defence::Unchanged) {
            return false;
        }
        entry.modified += 1;
        entry.lease = put.lease;
        true
    }

    pub fn look_elsewhere(&mut self) -> Option<()> {
        let entry = self.entry?;
        let left = self.leases[entry.lease]?.left;
        self.elsewhere = Elsewhere::Looked { entry, left };
        Some(())
    }

    /// The holder hears of it at once, by its watch.
    pub fn move_elsewhere(&mut self, ttl: Duration, model: &Move) -> Option<()> {
        let Elsewhere::Looked { entry, left } = self.elsewhere else {
            return None;
        };
        self.elsewhere = Elsewhere::Absent;
        if left > ttl {
            return Some(());
        }
        let lease = self.new_lease(ttl, true)?;
        let modified = entry.modified;
        if self.put(Put { modified, lease }, model) {
            self.known = self.entry?;
        }
        Some(())
    }

    pub fn tick(&mut self) {
        self.believes_for = self.believes_for.saturating_sub(1);
        for lease in self.leases.iter_mut().flatten() {
            lease.left = lease.left.saturating_sub(1);
        }
        if let Elsewhere::Looked { left, .. } = &mut self.elsewhere {
            *left = left.saturating_sub(1);
        }
    }

    /// Forgets puts that change nothing any more, and counts modifications from what the holder knows, so
    /// that fewer states differ.
    pub fn tidy(&mut self) {
        let Some(entry) = &mut self.entry else {
            self.late.clear();
            return;
        };
        self.late.retain(|put| put.modified == entry.modified);
        let known = self.known.modified;
        for put in &mut self.late {
            put.modified -= known;
        }
        entry.modified -= known;
        self.known.modified = 0;
        if let Elsewhere::Looked { entry: seen, .. } = &mut self.elsewhere {
            // One that is too old stays too old.
            seen.modified = seen.modified.checked_sub(known).unwrap_or(u8::MAX);
        }
    }

    pub fn end_lease(&mut self, id: LeaseId) {
        if let Some(lease) = &mut self.leases[id] {
            lease.ended = true;
        }
        self.entry = self.entry.filter(|entry| entry.lease != id);
    }
}

impl Lease {
    fn new(ttl: Duration, foreign: bool) -> Self {
        Self {
            ttl,
            left: ttl,
            ended: false,
            foreign,
        }
    }
}

/// One line for a path that is printed.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry {
            Some(entry) => write!(f, "[under lease {}] ", entry.lease)?,
            None => write!(f, "[no entry] ")?,
        }
        for (id, lease) in self.leases.iter().enumerate() {
            match lease {
                Some(lease) if lease.ended => write!(f, "lease {id}: ended. ")?,
                Some(lease) => write!(f, "lease {id}: {}/{} left. ", lease.left, lease.ttl)?,
                None => {}
            }
        }
        let doubt = if self.in_doubt { ", in doubt" } else { "" };
        write!(f, "Believes for {}{doubt}.", self.believes_for)
    }
}
