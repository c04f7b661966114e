//! The way to etcd: one member at a time; another one after a failure.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlock_core::Instant;
use dlock_core::runtime::{Runtime, timeout};
use etcd_client::Client;
use tokio::sync::{oneshot, watch};

use crate::connector::Connector;
use crate::failure::{Failure, Meaning};

/// Where requests go.
pub(crate) struct Members {
    pub runtime: Arc<dyn Runtime>,
    pub response_timeout: Duration,
    connect_timeout: Duration,
    source: Source,
    state: Mutex<State>,
    /// One connects for all.
    connecting: tokio::sync::Mutex<()>,
}

pub(crate) enum Source {
    Endpoints {
        endpoints: Vec<String>,
        connector: Arc<dyn Connector>,
    },
    /// A user's own client, which finds its members by itself.
    Theirs(Box<Client>),
}

#[derive(Default)]
struct State {
    /// Which endpoint is asked.
    at: usize,
    session: Option<Arc<Session>>,
    generation: u64,
}

/// A client, until a request on it fails in a way that another member may mend.
pub(crate) struct Session {
    pub client: Client,
    endpoint: Option<Arc<str>>,
    generation: u64,
    over: watch::Sender<bool>,
    /// When the member was last heard of; 0 for never.
    heard_at: AtomicU64,
}

impl Session {
    /// The member has answered somebody.
    pub fn heard(&self, now: Instant) {
        self.heard_at.fetch_max(now.as_nanos(), Ordering::AcqRel);
    }

    /// Slow is not dead: a crowd that waits too long for one answer must not make all begin anew.
    fn is_heard_since(&self, sent_at: Instant) -> bool {
        self.heard_at.load(Ordering::Acquire) > sent_at.as_nanos()
    }

    /// Ends when the session does: streams on it should be opened anew.
    pub async fn over(&self) {
        // The sender lives as long as we do.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    fn failure(&self, error: etcd_client::Error, now: Instant) -> Failure {
        let failure = Failure::of(error);
        if !failure.is_of_the_connection() {
            self.heard(now);
            return failure;
        }
        let endpoint = self.endpoint.as_deref();
        // Once it has answered, it speaks the right protocol.
        let never_heard = self.heard_at.load(Ordering::Acquire) == 0;
        match endpoint.filter(|_| never_heard) {
            Some(endpoint) => failure.never_worked(endpoint),
            None => failure.at(endpoint),
        }
    }
}

impl Source {
    fn endpoint(&self, at: usize) -> Option<&str> {
        match self {
            Self::Endpoints { endpoints, .. } => Some(&endpoints[at % endpoints.len()]),
            Self::Theirs(_) => None,
        }
    }
}

impl Members {
    pub fn new(
        source: Source,
        runtime: Arc<dyn Runtime>,
        connect_timeout: Duration,
        response_timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            response_timeout,
            connect_timeout,
            source,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        })
    }

    /// Sends a request, within the response timeout. What was surely not applied is sent to the
    /// other members as well, once each; and once more with a new token.
    pub async fn call<T, F>(self: &Arc<Self>, request: impl Fn(&Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let give_up_at = self.runtime.now() + self.response_timeout;
        let mut tries = self.how_many();
        let mut has_new_token = false;
        loop {
            // Boxed, because a request of the client library takes kilobytes on the stack.
            let attempt = Box::pin(async {
                let session = self.session().await.map_err(|failure| (failure, None))?;
                match request(&session.client).await {
                    Ok(answer) => {
                        session.heard(self.runtime.now());
                        Ok(answer)
                    }
                    Err(error) => {
                        let failure = session.failure(error, self.runtime.now());
                        Err((failure, Some(session)))
                    }
                }
            });
            let (before, endpoint) = self.turn();
            let sent_at = self.runtime.now();
            let (failure, session) = match timeout(&*self.runtime, give_up_at, attempt).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failed)) => failed,
                Err(_) => {
                    self.suspect_if_silent(before, sent_at);
                    return Err(Failure::silence(self.response_timeout).at(endpoint));
                }
            };
            if let Some(session) = session
                && failure.is_of_the_member()
            {
                self.suspect(session.generation);
            }
            let in_time = self.runtime.now() < give_up_at;
            match failure.meaning {
                // The next session asks for one.
                Meaning::TokenForgotten if in_time && !has_new_token => has_new_token = true,
                Meaning::Unavailable if in_time && tries > 1 => tries -= 1,
                _ => return Err(failure),
            }
        }
    }

    /// The client to open a stream with.
    pub async fn session(self: &Arc<Self>) -> Result<Arc<Session>, Failure> {
        if let Some(session) = self.state().session.clone() {
            return Ok(session);
        }
        // A task of its own: nobody who is not polled any more keeps the others from connecting.
        let (sender, answer) = oneshot::channel();
        let members = self.clone();
        self.runtime.spawn(Box::pin(async move {
            let _ = sender.send(members.connected().await);
        }));
        answer.await.unwrap_or_else(|_| {
            Err(Failure::told(
                Meaning::Unavailable,
                "there is no runtime to connect on",
            ))
        })
    }

    async fn connected(&self) -> Result<Arc<Session>, Failure> {
        let _one = self.connecting.lock().await;
        if let Some(session) = self.state().session.clone() {
            return Ok(session);
        }
        let (generation, endpoint) = self.turn();
        let client = match &self.source {
            Source::Theirs(client) => (**client).clone(),
            Source::Endpoints { connector, .. } => {
                let connecting = self.connect(endpoint.unwrap_or_default(), &**connector);
                connecting.await.inspect_err(|_| {
                    let mut state = self.state();
                    // Who waited for it may have turned already.
                    if state.generation == generation {
                        Self::turn_to_the_next(&mut state);
                    }
                })?
            }
        };
        let mut state = self.state();
        let session = Arc::new(Session {
            client,
            endpoint: endpoint.map(Arc::from),
            generation: state.generation,
            over: watch::Sender::new(false),
            heard_at: AtomicU64::new(0),
        });
        state.session = Some(session.clone());
        Ok(session)
    }

    async fn connect(&self, endpoint: &str, connector: &dyn Connector) -> Result<Client, Failure> {
        let until = self.runtime.now() + self.connect_timeout;
        let connecting = connector.connect(endpoint);
        let failure = match timeout(&*self.runtime, until, connecting).await {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(error)) => Failure::of(error).never_worked(endpoint),
            Err(_) => Failure::silence(self.connect_timeout).at(Some(endpoint)),
        };
        let (meaning, message, source) = failure.into_parts();
        // Whatever happened to the authentication, nothing else was sent.
        let meaning = match meaning {
            Meaning::Indeterminate => Meaning::Unavailable,
            meaning => meaning,
        };
        Err(Failure::told(meaning, message).with_source(source))
    }

    /// A request on this session failed, or a stream did: the next one goes to the next member, over a
    /// new connection.
    pub fn suspect_session(&self, session: &Session) {
        self.suspect(session.generation);
    }

    /// The same if nobody else was answered since.
    pub fn suspect_silent_session(&self, session: &Session, sent_at: Instant) {
        self.suspect_if_silent(session.generation, sent_at);
    }

    fn suspect_if_silent(&self, generation: u64, sent_at: Instant) {
        let session = self.state().session.clone();
        if !session.is_some_and(|session| session.is_heard_since(sent_at)) {
            self.suspect(generation);
        }
    }

    fn suspect(&self, generation: u64) {
        let mut state = self.state();
        if state.generation != generation {
            return;
        }
        Self::turn_to_the_next(&mut state);
        let ended = state.session.take();
        drop(state);
        if let Some(session) = ended {
            tracing::debug!(
                generation,
                "asking another member, or over a new connection"
            );
            session.over.send_replace(true);
        }
    }

    /// Once for all who saw this one fail.
    fn turn_to_the_next(state: &mut State) {
        state.generation += 1;
        state.at += 1;
    }

    /// The number of the session that is asked, or will be, and its endpoint.
    fn turn(&self) -> (u64, Option<&str>) {
        let state = self.state();
        (state.generation, self.source.endpoint(state.at))
    }

    pub fn how_many(&self) -> usize {
        match &self.source {
            Source::Endpoints { endpoints, .. } => endpoints.len(),
            Source::Theirs(_) => 1,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            Source::Endpoints { endpoints, .. } => endpoints.fmt(f),
            Source::Theirs(_) => f.write_str("a client of the user's"),
        }
    }
}
