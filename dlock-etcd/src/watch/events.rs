use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dlock_core::store::{LockEvent, StoreError, Watch};
use dlock_core::{FencingToken, Instant, LockName};
use tokio::sync::Notify;

use super::{Change, Listener, Subscription};
use crate::entry::Entry;
use crate::inner::Inner;
use crate::keys::Keys;
use crate::recipe;

/// The locking and unlocking of one name, whoever does it.
///
/// etcd does not say why a key was deleted. It counts as expired when its lease is gone and the time that
/// was left of it when it took the lock is over.
pub(crate) struct Events {
    inner: Arc<Inner>,
    keys: Keys,
    ear: Arc<Ear>,
    _subscription: Subscription,
    /// All that stand in the queue, by their creation.
    queue: BTreeMap<i64, Entry>,
    /// Up to which change the queue is known.
    known_to: i64,
    holder: Option<Entry>,
    /// What happened and was not told.
    turns: VecDeque<Turn>,
    /// When the holder's lease can have run out.
    ends_at: Option<Instant>,
}

enum Turn {
    Locked(Entry),
    Ended(Entry),
}

impl Events {
    pub fn new(inner: Arc<Inner>, name: &LockName) -> Self {
        let keys = inner.keys(name);
        let ear = Arc::new(Ear::default());
        let subscription = inner
            .hub
            .watch_range(keys.range.clone(), keys.end(), ear.clone());
        Self {
            inner,
            keys,
            ear,
            _subscription: subscription,
            queue: BTreeMap::new(),
            known_to: 0,
            holder: None,
            turns: VecDeque::new(),
            ends_at: None,
        }
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        // A reset and a new watch during the read make another one necessary.
        self.ear.state().unread = false;
        let reading = recipe::everybody(&self.inner.members, &self.keys);
        let mut again = ReadAgain(Some(&self.ear));
        let entries = reading.await?;
        again.0 = None;
        drop(again);
        // Changes that were heard before are in there or come again: both do no harm.
        self.queue = entries
            .into_iter()
            .map(|entry| (entry.created, entry))
            .collect();
        self.known_to = self
            .queue
            .values()
            .map(|entry| entry.modified)
            .max()
            .unwrap_or(0);
        self.take_turns();
        Ok(())
    }

    fn change(&mut self, change: Change) {
        let Change {
            deleted,
            now,
            before,
        } = change;
        if now.mod_revision <= self.known_to {
            return;
        }
        if deleted {
            let created = before.map(|before| before.create_revision);
            match created {
                Some(created) => drop(self.queue.remove(&created)),
                None => self.queue.retain(|_, entry| entry.key != now.key),
            }
        } else {
            self.queue.insert(now.create_revision, Entry::from(now));
        }
        self.take_turns();
    }

    fn take_turns(&mut self) {
        // The first in the queue holds nothing before it has asked.
        let first = self.queue.values().next();
        let holder = first.filter(|entry| !entry.owner.waits()).cloned();
        let created = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.created);
        if created(&holder) == created(&self.holder) {
            return;
        }
        self.turns.extend(self.holder.take().map(Turn::Ended));
        self.turns.extend(holder.clone().map(Turn::Locked));
        self.holder = holder;
    }

    /// Cancel-safe: a turn is forgotten after it was told.
    async fn tell(&mut self) -> Option<LockEvent> {
        let turn = self.turns.front()?;
        let (Turn::Locked(entry) | Turn::Ended(entry)) = turn;
        let left = self.inner.time_to_live(entry.lease).await;
        let now = self.inner.runtime().now();
        Some(match self.turns.pop_front()? {
            Turn::Locked(entry) => {
                self.ends_at = left.ok().flatten().map(|(_, left)| now + left);
                LockEvent::Locked {
                    label: entry.owner.label(),
                    token: u64::try_from(entry.created)
                        .ok()
                        .and_then(FencingToken::new),
                }
            }
            Turn::Ended(entry) => {
                // Put by hand, it has no end.
                let ends = entry.lease != 0;
                let over = ends && self.ends_at.is_none_or(|end| now >= end);
                match left {
                    Ok(None) if over => LockEvent::Expired,
                    _ => LockEvent::Unlocked,
                }
            }
        })
    }
}

#[async_trait]
impl Watch for Events {
    async fn next(&mut self) -> Result<LockEvent, StoreError> {
        let ear = self.ear.clone();
        loop {
            if let Some(event) = self.tell().await {
                return Ok(event);
            }
            let mut news = std::pin::pin!(ear.news.notified());
            news.as_mut().enable();
            let (unread, change) = {
                let mut state = ear.state();
                if state.unread {
                    state.changes.clear();
                }
                (state.unread, state.changes.pop_front())
            };
            match (unread, change) {
                (true, _) => self.read().await?,
                (false, Some(change)) => self.change(change),
                (false, None) => news.await,
            }
        }
    }
}

/// A read that did not come to its end is done again.
struct ReadAgain<'a>(Option<&'a Ear>);

impl Drop for ReadAgain<'_> {
    fn drop(&mut self) {
        if let Some(ear) = self.0 {
            ear.state().unread = true;
        }
    }
}

/// How many changes are kept for a reader that does not come.
const MOST_CHANGES: usize = 10_000;

#[derive(Default)]
struct Ear {
    news: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The watch was created or refused, and the queue has not been read since.
    unread: bool,
    changes: VecDeque<Change>,
}

impl Ear {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Ear {
    fn created(&self, _: i64) {
        self.state().unread = true;
        self.news.notify_waiters();
    }

    fn reset(&self, _: i64) {
        self.state().changes.clear();
    }

    fn refused(&self, _: i64) {
        self.state().unread = true;
        self.news.notify_waiters();
    }

    fn changed(&self, _: i64, change: Change) {
        let mut state = self.state();
        if state.changes.len() < MOST_CHANGES {
            state.changes.push_back(change);
        } else {
            // A reader too slow for every event sees the last state.
            state.changes.clear();
            state.unread = true;
        }
        drop(state);
        self.news.notify_waiters();
    }
}
