//! etcd, as far as one lock name needs it.

use super::{Defence, Queue};

pub(super) type Revision = u32;
pub(super) type LeaseId = usize;
pub(super) type AttemptId = usize;

pub(super) const MOST_LEASES: usize = 5;

/// The entries of one name. A key is named after the lease it was made under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Store {
    pub revision: Revision,
    pub entries: [Option<Entry>; MOST_LEASES],
    /// Leases that have ended.
    pub ended: [bool; MOST_LEASES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Entry {
    pub created: Revision,
    pub modified: Revision,
    pub standing: Standing,
    pub owner: AttemptId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Standing {
    Waiting,
    Holding,
}

/// One transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Operation {
    Enter {
        key: LeaseId,
        ask: Ask,
    },
    Confirm {
        key: LeaseId,
        created: Revision,
        modified: Revision,
    },
    /// Removes the head of the queue, which has not taken the lock.
    PassOver {
        key: LeaseId,
        created: Revision,
        modified: Revision,
    },
    /// `created` is what its sender knows of its entry; 0 for nothing.
    Leave {
        key: LeaseId,
        created: Revision,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Ask {
    /// Takes a free lock, or leaves nothing.
    IfFree,
    /// The same for a request that may have been applied before.
    AgainIfFree,
    /// Takes a free lock, or queues.
    OrQueue,
    /// Queues.
    Queue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Answer {
    Granted { created: Revision },
    Queued(Entry),
    Busy,
    NoSuchLease,
    Holding { modified: Revision },
    Waiting { modified: Revision },
    Gone,
    Removed(bool),
}

impl Store {
    pub fn apply(&mut self, owner: AttemptId, operation: Operation, queue: &Queue) -> Answer {
        match operation {
            Operation::Enter { key, ask } => self.enter(owner, key, ask, queue),
            Operation::Confirm {
                key,
                created,
                modified,
            } => self.confirm(owner, key, (created, modified), queue),
            Operation::PassOver {
                key,
                created,
                modified,
            } => {
                let is_it = |entry: &Entry| {
                    let unchanged = entry.modified == modified;
                    entry.created == created && (unchanged || !queue.has(Defence::HeadUnchanged))
                };
                self.remove_if(key, is_it)
            }
            Operation::Leave { key, created } => {
                let any = created == 0 || !queue.has(Defence::OwnEntryOnly);
                self.remove_if(key, |entry| any || entry.created == created)
            }
        }
    }

    fn enter(&mut self, owner: AttemptId, key: LeaseId, ask: Ask, queue: &Queue) -> Answer {
        let nobody = self.head().is_none() || !queue.has(Defence::NobodyBefore);
        if nobody && ask != Ask::Queue {
            return match self.put(owner, key, Standing::Holding) {
                Some(entry) => Answer::Granted {
                    created: entry.created,
                },
                None => Answer::NoSuchLease,
            };
        }
        match (ask, self.entries[key]) {
            (Ask::IfFree, _) | (Ask::AgainIfFree, None) => Answer::Busy,
            (Ask::AgainIfFree, Some(own)) => Answer::Queued(own),
            (_, Some(own)) if queue.has(Defence::EarlierSend) => Answer::Queued(own),
            _ => match self.put(owner, key, Standing::Waiting) {
                Some(own) => Answer::Queued(own),
                None => Answer::NoSuchLease,
            },
        }
    }

    fn confirm(
        &mut self,
        owner: AttemptId,
        key: LeaseId,
        (created, modified): (Revision, Revision),
        queue: &Queue,
    ) -> Answer {
        let own = self.entries[key];
        let unchanged = own.is_some_and(|own| (own.created, own.modified) == (created, modified));
        // A comparison of a range fails if nothing is there.
        let lowest = self.head().is_some_and(|head| head.created >= created);
        if (unchanged || !queue.has(Defence::OwnEntryUnchanged))
            && (lowest || !queue.has(Defence::Lowest))
        {
            return match self.put(owner, key, Standing::Holding) {
                Some(entry) => Answer::Holding {
                    modified: entry.modified,
                },
                None => Answer::NoSuchLease,
            };
        }
        match own.filter(|own| own.created == created) {
            None if queue.has(Defence::GoneIsTold) => Answer::Gone,
            None => Answer::Waiting { modified },
            Some(Entry {
                modified,
                standing: Standing::Holding,
                ..
            }) if lowest => Answer::Holding { modified },
            Some(Entry { modified, .. }) => Answer::Waiting { modified },
        }
    }

    /// `None`: the lease does not exist.
    fn put(&mut self, owner: AttemptId, key: LeaseId, standing: Standing) -> Option<Entry> {
        if self.ended[key] {
            return None;
        }
        self.revision += 1;
        let entry = Entry {
            created: self.entries[key].map_or(self.revision, |entry| entry.created),
            modified: self.revision,
            standing,
            owner,
        };
        self.entries[key] = Some(entry);
        Some(entry)
    }

    fn remove_if(&mut self, key: LeaseId, condition: impl Fn(&Entry) -> bool) -> Answer {
        let removed = self.entries[key].as_ref().is_some_and(condition);
        if removed {
            self.entries[key] = None;
        }
        Answer::Removed(removed)
    }

    pub fn end_lease(&mut self, lease: LeaseId) {
        self.ended[lease] = true;
        self.entries[lease] = None;
    }

    /// The owner of the lock, if it has asked.
    pub fn head(&self) -> Option<Entry> {
        self.entries.iter().flatten().copied().min()
    }

    /// The key of an entry that was created then.
    pub fn key_of(&self, created: Revision) -> Option<LeaseId> {
        let is_it = |entry: &Option<Entry>| entry.is_some_and(|entry| entry.created == created);
        self.entries.iter().position(is_it)
    }
}
