use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlock_core::Instant;
use dlock_core::runtime::{Race, race, timeout};
use etcd_client::proto::{PbEvent, PbKeyValue, PbWatchResponse};
use etcd_client::{WatchOptions, WatchRequestSender, WatchResponseStream};
use tokio::sync::Notify;

use crate::failure::Failure;
use crate::members::{Members, Session};

/// Between two streams.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// After which a watch that was refused is asked for again.
const REFUSED: Duration = Duration::from_secs(2);

/// The one watch stream of a store, and who listens to what.
///
/// # How it works
///
/// Every watch is opened *without* a start revision: one that starts in the past waits for etcd's
/// catch-up loop, up to 100 ms. So nothing is known of the time before it was created: a listener hears
/// that it was, reads, and knows all from then on. When the stream breaks, or the store turns to
/// another member, all listeners hear of a reset, and then again that their watches were created.
pub(crate) struct Hub {
    members: Arc<Members>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    watches: BTreeMap<i64, Watch>,
    next_id: i64,
    /// To be sent on the open stream.
    outbox: VecDeque<Command>,
    /// To be created again then.
    refused: VecDeque<(Instant, i64)>,
    running: bool,
    closed: bool,
}

struct Watch {
    key: Vec<u8>,
    /// For a range of keys.
    end: Option<Vec<u8>>,
    listener: Arc<dyn Listener>,
    created: bool,
}

/// How a stream ended.
enum Ended {
    Broken,
    Refused,
}

enum Command {
    Create(i64),
    Cancel(i64),
}

/// Hears what happens to its keys; called in etcd's order, and must not block.
pub(crate) trait Listener: Send + Sync {
    /// The watch with this number hears all changes from now on.
    fn created(&self, watch: i64);
    /// It does not any more, until it is created again.
    fn reset(&self, watch: i64);
    /// The same, and nobody creates it again: a request will tell why.
    fn refused(&self, watch: i64) {
        self.reset(watch);
    }
    fn changed(&self, watch: i64, change: Change);
}

/// One change of a key. Not to be shown: values have secrets (R14).
pub(crate) struct Change {
    pub deleted: bool,
    /// As it is now; of a deleted key only the key and the revision of its deletion.
    pub now: PbKeyValue,
    /// As it was before: for ranges only.
    pub before: Option<PbKeyValue>,
}

/// A watch, until it is dropped.
pub(crate) struct Subscription {
    hub: Arc<Hub>,
    pub id: i64,
    pub key: Vec<u8>,
}

impl Hub {
    pub fn new(members: Arc<Members>) -> Arc<Self> {
        Arc::new(Self {
            members,
            state: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Watches a key.
    pub fn watch(self: &Arc<Self>, key: Vec<u8>, listener: Arc<dyn Listener>) -> Subscription {
        self.subscribe(key, None, listener)
    }

    /// Watches all keys from `key` to before `end`.
    pub fn watch_range(
        self: &Arc<Self>,
        key: Vec<u8>,
        end: Vec<u8>,
        listener: Arc<dyn Listener>,
    ) -> Subscription {
        self.subscribe(key, Some(end), listener)
    }

    fn subscribe(
        self: &Arc<Self>,
        key: Vec<u8>,
        end: Option<Vec<u8>>,
        listener: Arc<dyn Listener>,
    ) -> Subscription {
        let mut state = self.state();
        // etcd chooses a number itself when it is given 0.
        state.next_id += 1;
        let id = state.next_id;
        state.watches.insert(
            id,
            Watch {
                key: key.clone(),
                end,
                listener,
                created: false,
            },
        );
        state.outbox.push_back(Command::Create(id));
        state.closed = false;
        drop(state);
        self.ensure_running();
        self.changed.notify_one();
        Subscription {
            hub: self.clone(),
            id,
            key,
        }
    }

    /// Starts the task if somebody listens and none runs: for the first watch, and when the runtime that
    /// the task ran on is gone.
    pub fn ensure_running(self: &Arc<Self>) {
        let mut state = self.state();
        if state.watches.is_empty() || std::mem::replace(&mut state.running, true) {
            return;
        }
        drop(state);
        let running = Running {
            hub: self.clone(),
            finished: false,
        };
        self.members.runtime.spawn(Box::pin(running.run()));
    }

    /// Ends the stream if nobody listens; a later watch opens another.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = state.watches.is_empty();
        drop(state);
        self.changed.notify_one();
    }

    async fn run(&self) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let mut refused = false;
            // What is to be created is taken from the watches, when the stream is open.
            let first = {
                let mut state = self.state();
                state.outbox.clear();
                state.refused.clear();
                if state.closed {
                    state.running = false;
                    break;
                }
                state.watches.keys().next().copied()
            };
            let Some(first) = first else {
                // Nobody listens. A stream is opened when somebody does.
                self.changed.notified().await;
                continue;
            };
            match self.open(first).await {
                Ok((sender, stream, session)) => {
                    let opened_at = self.members.runtime.now();
                    let ended = race(
                        self.hear(stream, &session),
                        race(self.send(sender), session.over()),
                    )
                    .await;
                    refused = matches!(ended, Race::First(Ended::Refused));
                    // Whether it broke or the store is closed: it is of no use to anybody else.
                    if !self.state().closed {
                        self.members.suspect_session(&session);
                    }
                    if self.members.runtime.now().since(opened_at) > LONGEST_PAUSE {
                        pause = SHORTEST_PAUSE;
                    }
                }
                Err(failure) => tracing::debug!(%failure, "no stream for watches"),
            }
            self.reset_all();
            if refused {
                self.refuse_rest();
            }
            if !self.state().closed {
                self.members.runtime.sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        self.reset_all();
    }

    /// A stream with one watch; the others are put in the outbox.
    async fn open(
        &self,
        first: i64,
    ) -> Result<(WatchRequestSender, WatchResponseStream, Arc<Session>), Failure> {
        let runtime = &*self.members.runtime;
        let until = runtime.now() + self.members.response_timeout;
        let silence = || Failure::silence(self.members.response_timeout);
        let session = timeout(runtime, until, self.members.session())
            .await
            .map_err(|_| silence())??;
        let Some((key, options)) = self.request(first) else {
            return Err(Failure::told(
                crate::failure::Meaning::Unavailable,
                "nobody listens any more",
            ));
        };
        {
            let mut state = self.state();
            let others: Vec<_> = state
                .watches
                .keys()
                .filter(|id| **id != first)
                .map(|id| Command::Create(*id))
                .collect();
            state.outbox = others.into();
        }
        let mut client = session.client.watch_client();
        let opening = Box::pin(client.watch(key, Some(options)));
        match timeout(runtime, until, opening).await {
            Ok(Ok(stream)) => {
                let (sender, stream) = stream.split();
                Ok((sender, stream, session))
            }
            Ok(Err(error)) => {
                self.members.suspect_session(&session);
                Err(Failure::of(error))
            }
            Err(_) => {
                self.members.suspect_session(&session);
                Err(silence())
            }
        }
    }

    /// Ends when the stream breaks or the store is closed.
    async fn send(&self, mut sender: WatchRequestSender) {
        loop {
            while let Some(command) = self.next() {
                let sent = match command {
                    Command::Create(id) => match self.request(id) {
                        Some((key, options)) => sender.watch(key, Some(options)).await,
                        // Dropped meanwhile.
                        None => continue,
                    },
                    Command::Cancel(id) => sender.cancel(id).await,
                };
                if sent.is_err() {
                    return;
                }
            }
            let again_at = {
                let state = self.state();
                if state.closed {
                    return;
                }
                state
                    .refused
                    .front()
                    .map_or(Instant::FAR_FUTURE, |(due, _)| *due)
            };
            let _ = timeout(&*self.members.runtime, again_at, self.changed.notified()).await;
        }
    }

    fn next(&self) -> Option<Command> {
        let now = self.members.runtime.now();
        let mut state = self.state();
        if state.refused.front().is_some_and(|(due, _)| *due <= now) {
            return state.refused.pop_front().map(|(_, id)| Command::Create(id));
        }
        state.outbox.pop_front()
    }

    fn request(&self, id: i64) -> Option<(Vec<u8>, WatchOptions)> {
        let state = self.state();
        let watch = state.watches.get(&id)?;
        let mut options = WatchOptions::new().with_watch_id(id);
        if let Some(end) = &watch.end {
            options = options.with_range(end.as_slice()).with_prev_key();
        }
        Some((watch.key.clone(), options))
    }

    async fn hear(&self, mut stream: WatchResponseStream, session: &Session) -> Ended {
        while let Ok(Some(answer)) = stream.message().await {
            session.heard(self.members.runtime.now());
            if !self.heard(answer.0) {
                return Ended::Refused;
            }
        }
        Ended::Broken
    }

    /// `false`: a watch was refused, and etcd does not say which.
    fn heard(&self, answer: PbWatchResponse) -> bool {
        let id = answer.watch_id;
        let Some(listener) = self.listener(id, answer.created && !answer.canceled) else {
            // Cancelled by us, or by etcd before it had a number.
            return !(answer.canceled && id < 0);
        };
        if answer.canceled {
            tracing::warn!(
                reason = answer.cancel_reason,
                compacted = answer.compact_revision,
                "etcd has ended a watch"
            );
            let mut state = self.state();
            if let Some(watch) = state.watches.get_mut(&id) {
                watch.created = false;
            }
            // It was behind what was compacted: another one starts now, and its listener reads again. Where
            // it was refused for another reason, later; meanwhile the listener goes on by looking.
            let again = answer.compact_revision > 0;
            if again {
                state.outbox.push_back(Command::Create(id));
            } else {
                let due = self.members.runtime.now() + REFUSED;
                state.refused.push_back((due, id));
            }
            self.changed.notify_one();
            drop(state);
            if again {
                listener.reset(id);
            } else {
                listener.refused(id);
            }
            return true;
        }
        if answer.created {
            listener.created(id);
        }
        for event in answer.events {
            if let Some(change) = Change::of(event) {
                listener.changed(id, change);
            }
        }
        true
    }

    fn listener(&self, id: i64, created: bool) -> Option<Arc<dyn Listener>> {
        let mut state = self.state();
        let watch = state.watches.get_mut(&id)?;
        watch.created |= created;
        Some(watch.listener.clone())
    }

    fn reset_all(&self) {
        let reset: Vec<_> = {
            let mut state = self.state();
            let created = state.watches.iter_mut().filter(|(_, watch)| watch.created);
            created
                .map(|(id, watch)| {
                    watch.created = false;
                    (*id, watch.listener.clone())
                })
                .collect()
        };
        for (id, listener) in reset {
            listener.reset(id);
        }
    }

    /// It was one of those that were not created.
    fn refuse_rest(&self) {
        let rest: Vec<_> = {
            let state = self.state();
            let rest = state.watches.iter().filter(|(_, watch)| !watch.created);
            rest.map(|(id, watch)| (*id, watch.listener.clone()))
                .collect()
        };
        for (id, listener) in rest {
            listener.refused(id);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    fn of(event: PbEvent) -> Option<Self> {
        Some(Self {
            deleted: match event.r#type {
                0 => false,
                1 => true,
                _ => return None,
            },
            now: event.kv?,
            before: event.prev_kv,
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.hub.state();
        let Some(watch) = state.watches.remove(&self.id) else {
            return;
        };
        if state.running {
            state.outbox.push_back(Command::Cancel(self.id));
            self.hub.changed.notify_one();
        }
        // Outside the lock: a listener may own more subscriptions.
        drop(state);
        drop(watch);
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscription({})", self.id)
    }
}

/// The task. When its runtime drops it unfinished, the next watch starts another.
struct Running {
    hub: Arc<Hub>,
    finished: bool,
}

impl Running {
    async fn run(mut self) {
        self.hub.run().await;
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished {
            self.hub.state().running = false;
            self.hub.reset_all();
        }
    }
}
