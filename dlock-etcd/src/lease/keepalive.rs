//! One stream that keeps all leases of a store alive.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlock_core::Instant;
use dlock_core::runtime::{Race, race, sleep_until, timeout};
use etcd_client::{Error, LeaseKeepAliveStream, LeaseKeeper};
use tokio::sync::{Notify, oneshot};

use super::Lease;
use crate::failure::{Failure, Meaning};
use crate::members::{Members, Session};

/// How long the stream stays open without anything to say.
const IDLE: Duration = Duration::from_secs(60);

/// Requests for keepalives, and the answers.
///
/// # How it works
///
/// At most one request for each lease is under way: who asks meanwhile shares its answer, and the
/// answer says when that request was *sent* (R1). A request without an answer within the response
/// timeout (or a quarter of its TTL) ends the stream, because answers come in order: all behind it would wait as well. The next
/// stream goes to the next member.
pub(crate) struct Keepalives {
    members: Arc<Members>,
    state: Mutex<State>,
    changed: Notify,
    sent: Notify,
}

#[derive(Default)]
struct State {
    /// Asked for and not sent.
    queue: VecDeque<Arc<Lease>>,
    under_way: BTreeMap<i64, UnderWay>,
    /// In the order of sending.
    sent: VecDeque<(Instant, i64)>,
    running: bool,
    closed: bool,
}

struct UnderWay {
    lease: Arc<Lease>,
    sent_at: Option<Instant>,
    callers: Vec<oneshot::Sender<Result<Kept, Silence>>>,
}

/// etcd's word about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It lasts for its TTL from this sending.
    From(Instant),
    /// It does not exist.
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Silence;

impl Keepalives {
    pub fn new(members: Arc<Members>) -> Arc<Self> {
        Arc::new(Self {
            members,
            state: Mutex::default(),
            changed: Notify::new(),
            sent: Notify::new(),
        })
    }

    /// Keeps a lease alive. Cancel-safe: the request is sent all the same.
    pub async fn keep(self: &Arc<Self>, lease: &Arc<Lease>) -> Result<Kept, Failure> {
        let (caller, answer) = oneshot::channel();
        self.ask(lease, Some(caller));
        match answer.await {
            Ok(Ok(kept)) => Ok(kept),
            Ok(Err(Silence)) | Err(_) => Err(Failure::told(
                Meaning::Indeterminate,
                "a keepalive was not answered",
            )),
        }
    }

    /// The same without waiting: the answer shows on the lease.
    pub fn keep_soon(self: &Arc<Self>, lease: &Arc<Lease>) {
        self.ask(lease, None);
    }

    fn ask(
        self: &Arc<Self>,
        lease: &Arc<Lease>,
        caller: Option<oneshot::Sender<Result<Kept, Silence>>>,
    ) {
        let mut guard = self.state();
        let state = &mut *guard;
        let under_way = state.under_way.entry(lease.id).or_insert_with(|| {
            state.queue.push_back(lease.clone());
            UnderWay {
                lease: lease.clone(),
                sent_at: None,
                callers: Vec::new(),
            }
        });
        under_way.callers.extend(caller);
        state.closed = false;
        let start = !std::mem::replace(&mut state.running, true);
        drop(guard);
        if start {
            // Outside the lock: a runtime that has ended drops the task at once.
            let running = Running {
                keepalives: self.clone(),
                finished: false,
            };
            self.members.runtime.spawn(Box::pin(running.run()));
        }
        self.changed.notify_one();
    }

    /// Ends the stream; a later request opens another.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    async fn run(&self) {
        while self.wait_for_work().await {
            let session = match self.open().await {
                Ok(Some(session)) => session,
                Ok(None) => continue,
                Err(failure) => {
                    tracing::debug!(%failure, "no stream for keepalives");
                    self.fail_all();
                    continue;
                }
            };
            let (keeper, stream, session) = session;
            let ended = race(
                self.hear(stream, &session),
                race(self.send(keeper), race(session.over(), self.silence())),
            )
            .await;
            match ended {
                Race::First(()) => self.members.suspect_session(&session),
                Race::Second(Race::Second(Race::Second(sent_at))) => {
                    self.members.suspect_silent_session(&session, sent_at);
                }
                Race::Second(_) => {}
            }
            self.fail_sent();
        }
    }

    /// `false` when there has been none for long, or the store is closed: the task ends.
    async fn wait_for_work(&self) -> bool {
        let idle_until = self.members.runtime.now() + IDLE;
        loop {
            {
                let mut state = self.state();
                if !state.queue.is_empty() {
                    return true;
                }
                if state.closed || self.members.runtime.now() >= idle_until {
                    // Under the lock, so that who asks now starts another task.
                    state.running = false;
                    return false;
                }
            }
            let _ = timeout(&*self.members.runtime, idle_until, self.changed.notified()).await;
        }
    }

    /// A stream, opened with the first request. `None`: the request was answered, and there is no stream.
    async fn open(
        &self,
    ) -> Result<Option<(LeaseKeeper, LeaseKeepAliveStream, Arc<Session>)>, Failure> {
        let until = self.members.runtime.now() + self.members.response_timeout;
        let session = match timeout(&*self.members.runtime, until, self.members.session()).await {
            Ok(session) => session?,
            Err(_) => return Err(Failure::silence(self.members.response_timeout)),
        };
        let Some(first) = self.next() else {
            return Ok(None);
        };
        let mut client = session.client.lease_client();
        let opening = Box::pin(client.keep_alive(first.id));
        match timeout(&*self.members.runtime, until, opening).await {
            Ok(Ok((keeper, stream))) => {
                self.answered(first.id, true);
                Ok(Some((keeper, stream, session)))
            }
            // How the client library says so: it opens no stream for a lease that does not exist.
            Ok(Err(Error::LeaseKeepAliveError(text))) if text == "lease not found" => {
                self.answered(first.id, false);
                Ok(None)
            }
            Ok(Err(error)) => {
                self.members.suspect_session(&session);
                Err(Failure::of(error))
            }
            Err(_) => {
                self.members.suspect_session(&session);
                Err(Failure::silence(self.members.response_timeout))
            }
        }
    }

    /// Ends when the stream breaks, when there was nothing to send for long, or when the store is closed and
    /// all is answered.
    async fn send(&self, mut keeper: LeaseKeeper) {
        loop {
            while let Some(lease) = self.next() {
                keeper.id = lease.id;
                if keeper.keep_alive().await.is_err() {
                    return;
                }
            }
            let done = {
                let state = self.state();
                state.closed && state.under_way.is_empty()
            };
            if done {
                return;
            }
            let idle_at = self.members.runtime.now() + IDLE;
            let idle = timeout(&*self.members.runtime, idle_at, self.changed.notified()).await;
            if idle.is_err() {
                return;
            }
        }
    }

    async fn hear(&self, mut stream: LeaseKeepAliveStream, session: &Session) {
        while let Ok(Some(answer)) = stream.message().await {
            session.heard(self.members.runtime.now());
            self.answered(answer.id(), answer.ttl() > 0);
        }
    }

    /// Ends when a request has gone without an answer for too long; with its sending.
    async fn silence(&self) -> Instant {
        let runtime = &*self.members.runtime;
        loop {
            let now = runtime.now();
            match self.patience_ends_at() {
                Some((sent_at, end)) if now >= end => return sent_at,
                Some((_, end)) => sleep_until(runtime, end).await,
                None => self.sent.notified().await,
            }
        }
    }

    /// When the oldest request without an answer was sent, and until when it may go without one: not for so long that there is
    /// no time left for another member.
    fn patience_ends_at(&self) -> Option<(Instant, Instant)> {
        let mut state = self.state();
        let state = &mut *state;
        while let Some((sent_at, id)) = state.sent.front().copied() {
            let under_way = state.under_way.get(&id);
            if let Some(one) = under_way.filter(|one| one.sent_at == Some(sent_at)) {
                let limit = self.members.response_timeout.min(one.lease.ttl / 4);
                return Some((sent_at, sent_at + limit));
            }
            state.sent.pop_front();
        }
        None
    }

    /// The next request to send, on record as sent now.
    fn next(&self) -> Option<Arc<Lease>> {
        let now = self.members.runtime.now();
        let mut state = self.state();
        let lease = state.queue.pop_front()?;
        state.sent.push_back((now, lease.id));
        if let Some(under_way) = state.under_way.get_mut(&lease.id) {
            under_way.sent_at = Some(now);
        }
        drop(state);
        self.sent.notify_one();
        Some(lease)
    }

    fn answered(&self, id: i64, alive: bool) {
        let Some(UnderWay {
            lease,
            sent_at: Some(sent_at),
            callers,
        }) = self.state().under_way.remove(&id)
        else {
            return;
        };
        let kept = if alive {
            lease.kept(sent_at);
            Kept::From(sent_at)
        } else {
            lease.set_gone();
            Kept::Gone
        };
        for caller in callers {
            let _ = caller.send(Ok(kept));
        }
        if self.state().closed {
            self.changed.notify_one();
        }
    }

    /// What was sent on a stream that has ended will not be answered.
    fn fail_sent(&self) {
        let failed: Vec<_> = {
            let mut state = self.state();
            state.sent.clear();
            let ids: Vec<_> = state
                .under_way
                .iter()
                .filter(|(_, under_way)| under_way.sent_at.is_some())
                .map(|(id, _)| *id)
                .collect();
            ids.iter()
                .filter_map(|id| state.under_way.remove(id))
                .collect()
        };
        fail(failed);
    }

    fn fail_all(&self) {
        let failed: Vec<_> = {
            let mut state = self.state();
            state.sent.clear();
            state.queue.clear();
            std::mem::take(&mut state.under_way).into_values().collect()
        };
        fail(failed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fail(failed: Vec<UnderWay>) {
    for caller in failed.into_iter().flat_map(|one| one.callers) {
        let _ = caller.send(Err(Silence));
    }
}

/// The task. When its runtime drops it unfinished, the next request starts another.
struct Running {
    keepalives: Arc<Keepalives>,
    finished: bool,
}

impl Running {
    async fn run(mut self) {
        self.keepalives.run().await;
        self.finished = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished {
            self.keepalives.state().running = false;
            self.keepalives.fail_all();
        }
    }
}
