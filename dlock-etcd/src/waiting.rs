//! What an attempt in the queue does next: pure, so that every order of events can be tried.

use std::time::Duration;

use dlock_core::Instant;

use crate::entry::{Ahead, Entry};
use crate::watch::Change;

/// R11: for how long the first in the queue may leave a free lock untaken.
const GRACE: Duration = Duration::from_millis(500);

/// How often the foremost attempt of a store looks although nothing was heard: for what no watch tells,
/// such as several dead ones in a row.
pub(crate) const LOOK: Duration = Duration::from_secs(2);

/// How often everybody looks while watches do not work.
const POLL: Duration = Duration::from_secs(1);

/// What is known of those before an entry.
///
/// # How it works
///
/// An entry watches itself, the one before it, and the one before that. It asks for the lock when it is
/// the first, which the end of the one before it tells. The end of the second one before it makes the
/// one before it the first: if that one is dlock's and does not take the lock within the grace, it is
/// removed. It may still be alive: then it finds its entry gone and queues again, at the end. A watch
/// tells nothing of the time before it was created, so after that there is one look.
#[derive(Debug)]
pub(crate) struct Waiting {
    ahead: Ahead,
    /// Nothing can have happened unheard.
    sure: bool,
    /// Since when `before` could have taken the lock.
    elected: Option<Instant>,
    /// The same of the first of all, where others stand between.
    first_since: Option<Instant>,
    /// Our own entry was deleted.
    gone: bool,
    looked_at: Instant,
    /// It was not answered: the next comes later.
    look_failed: bool,
    /// Somebody has gone, and nobody knows who stands there now.
    order_is_unknown: bool,
    /// Changes heard so far.
    heard: u64,
}

/// What was known when a look began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looking {
    /// The number of changes heard.
    pub heard: u64,
    /// All keys were watched.
    pub watched: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is worth asking for the lock.
    Ask,
    /// Read who is ahead.
    Look,
    /// The same by the order of the whole queue, and who is the first.
    LookAtAll,
    /// Remove one that does not take the lock.
    PassOver(Entry),
    /// Nothing before this instant, unless something is heard.
    Wait(Instant),
}

impl Waiting {
    pub fn behind(ahead: Ahead, now: Instant) -> Self {
        let mut waiting = Self {
            ahead: Ahead::default(),
            sure: false,
            elected: None,
            first_since: None,
            gone: false,
            looked_at: now,
            look_failed: false,
            order_is_unknown: false,
            heard: 0,
        };
        waiting.stands_behind(ahead, now);
        waiting
    }

    /// The keys to watch beside our own.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let both = self.ahead.before.iter().chain(&self.ahead.second);
        both.map(|entry| entry.key.as_slice())
    }

    /// `watched`: all keys are watched; `foremost`: no attempt of this store stands before this one.
    pub fn next(&self, now: Instant, watched: bool, foremost: bool) -> Next {
        let Some(before) = self.ahead.before.as_ref().filter(|_| !self.gone) else {
            return Next::Ask;
        };
        // Removing it compares what we know of it, be that old or new; what we know to hold the lock is never removed.
        let waits = before.owner.waits();
        if waits && self.elected.is_some_and(|since| now >= since + GRACE) {
            return Next::PassOver(before.clone());
        }
        if !watched {
            return at(self.looked_at + POLL, now, Next::Look);
        }
        if !self.sure {
            let failed = self.look_failed.then_some(self.looked_at + POLL);
            let look = match self.order_is_unknown {
                true => Next::LookAtAll,
                false => Next::Look,
            };
            return at(failed.unwrap_or(now), now, look);
        }
        match (self.elected, self.first_since, &self.ahead.first) {
            (Some(since), ..) => Next::Wait(since + GRACE),
            // Several dead ones in a row: nobody else of this store is there to see it.
            (None, Some(since), Some(first)) if foremost && first.owner.waits() => {
                at(since + GRACE, now, Next::PassOver(first.clone()))
            }
            (None, ..) if foremost => at(self.looked_at + LOOK, now, Next::LookAtAll),
            // Perhaps it is the foremost by then.
            (None, ..) => Next::Wait(now + LOOK),
        }
    }

    /// All that happens to our own entry was heard, and it was not deleted.
    pub fn is_sure(&self) -> bool {
        self.sure && !self.gone
    }

    pub fn heard(&self) -> u64 {
        self.heard
    }

    pub fn looked(&mut self, ahead: Ahead, looking: Looking, now: Instant) {
        self.looked_at = now;
        self.look_failed = false;
        if looking.heard != self.heard {
            // What was heard meanwhile may be newer.
            self.sure = false;
            return;
        }
        // What was read may be of more than one moment: then somebody went in between.
        let only_one = ahead.before.is_some() && ahead.second.is_none();
        let torn = only_one && !same(&ahead.before, &ahead.first);
        self.order_is_unknown = torn;
        let watched: Vec<_> = self.keys().map(<[u8]>::to_vec).collect();
        self.stands_behind(ahead, now);
        let is_watched = |key| watched.iter().any(|old| old == key);
        self.sure = !torn && looking.watched && self.keys().all(is_watched);
    }

    pub fn look_failed(&mut self, now: Instant) {
        self.looked_at = now;
        self.look_failed = true;
        self.sure = false;
    }

    pub fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    /// The answer to a request, of which nobody knows whether it is newer than what was heard.
    pub fn told(&mut self, ahead: Ahead, now: Instant) {
        self.stands_behind(ahead, now);
        self.sure = false;
    }

    fn stands_behind(&mut self, ahead: Ahead, now: Instant) {
        let elected = same(&ahead.before, &ahead.first)
            && ahead
                .before
                .as_ref()
                .is_some_and(|before| before.owner.waits());
        self.elected = match self.elected {
            Some(since) if elected && same(&ahead.before, &self.ahead.before) => Some(since),
            _ => elected.then_some(now),
        };
        let waits = ahead
            .first
            .as_ref()
            .is_some_and(|first| first.owner.waits());
        self.first_since = match self.first_since {
            Some(since) if waits && same(&ahead.first, &self.ahead.first) => Some(since),
            _ => waits.then_some(now),
        };
        self.ahead = ahead;
    }

    /// A change of our own entry.
    pub fn own_deleted(&mut self) {
        self.gone = true;
        self.heard += 1;
    }

    /// A change of a key that is watched.
    pub fn hear(&mut self, change: &Change, now: Instant) {
        self.heard += 1;
        // What is no news was read already.
        let is = |entry: &Option<Entry>| {
            entry.as_ref().is_some_and(|entry| {
                entry.key == change.now.key && entry.modified < change.now.mod_revision
            })
        };
        // Keys are named after leases, and a lease serves one attempt after the other: an entry that was made anew
        // stands behind us. The one that we knew has gone, although no watch told its end.
        let ahead = [&self.ahead.first, &self.ahead.before, &self.ahead.second];
        let same = ahead.into_iter().flatten().any(|entry| {
            entry.key == change.now.key && entry.created == change.now.create_revision
        });
        let changed = (!change.deleted && same).then(|| Entry::from(change.now.clone()));
        let was_first = is(&self.ahead.first);
        if was_first {
            self.ahead.first.clone_from(&changed);
            self.first_since = None;
        }
        if is(&self.ahead.before) {
            self.elected = self
                .elected
                .filter(|_| changed.as_ref().is_some_and(|entry| entry.owner.waits()));
            self.ahead.before = changed;
            if self.ahead.before.is_none() && self.ahead.second.is_some() {
                // It has left the queue, and others stand there.
                self.ahead.before = self.ahead.second.take();
                self.order_is_unknown = true;
                self.sure = false;
            }
        } else if is(&self.ahead.second) {
            let deleted = changed.is_none();
            let holds = changed.as_ref().is_some_and(|entry| entry.owner.holds());
            let held = self
                .ahead
                .second
                .as_ref()
                .is_some_and(|entry| entry.owner.holds());
            self.ahead.second = changed;
            if holds {
                // Whoever was the first, unheard by us, since when counts for nobody else.
                self.ahead.first.clone_from(&self.ahead.second);
                self.first_since = None;
            } else if deleted && (held || was_first) {
                // It was the first: the one before us is.
                self.ahead.first.clone_from(&self.ahead.before);
                let waits = |entry: &Entry| entry.owner.waits();
                self.elected = self.ahead.before.as_ref().is_some_and(waits).then_some(now);
            } else if deleted {
                self.order_is_unknown = true;
                self.sure = false;
            }
        }
    }

    /// The watches have to be created anew.
    pub fn reset(&mut self) {
        self.heard += 1;
        self.sure = false;
    }

    /// One was removed, or turned out to have changed.
    pub fn passed_over(&mut self) {
        self.elected = None;
        self.first_since = None;
        self.order_is_unknown = true;
        self.sure = false;
    }
}

/// The same entry, changed or not.
fn same(a: &Option<Entry>, b: &Option<Entry>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.created == b.created,
        _ => false,
    }
}

fn at(due: Instant, now: Instant, then: Next) -> Next {
    if now >= due { then } else { Next::Wait(due) }
}

#[cfg(test)]
mod tests;
