use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlock_core::Instant;
use dlock_core::runtime::{Runtime, race, timeout};
use tokio::sync::oneshot;

use super::probe::ProbeState;
use super::{ConnectFailure, Connected, Connector, Failure, Wire};

/// How long after a failed connect nobody tries again; doubles with every failure in a row.
const FIRST_BACKOFF: Duration = Duration::from_millis(25);
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// The store's connection, opened when it is needed and reopened after it broke.
///
/// Connecting is a task of its own, shared by all who wait for it: none of them can cancel it for
/// the others, and a failure is everybody's, instead of each trying in turn.
pub(crate) struct Link {
    pub(super) connector: Arc<dyn Connector>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) response_timeout: Duration,
    connect_timeout: Duration,
    state: Mutex<State>,
}

/// One connection.
pub(crate) struct Live {
    pub(super) generation: NonZeroU64,
    pub(super) wire: Box<dyn Wire>,
    pub(super) probe: ProbeState,
    // Dropping it ends the driver, if the driver is ours.
    _driver: Option<oneshot::Sender<()>>,
}

#[derive(Default)]
struct State {
    /// How many connections there were; the newest one's generation.
    generation: u64,
    live: Option<Arc<Live>>,
    /// Who waits for the connect that is under way.
    waiting: Option<Vec<Caller>>,
    failed: Option<Failed>,
}

type Caller = oneshot::Sender<Result<Arc<Live>, Failure>>;

struct Failed {
    why: ConnectFailure,
    in_a_row: u32,
    retry_from: Instant,
}

impl Link {
    pub fn new(
        connector: Arc<dyn Connector>,
        runtime: Arc<dyn Runtime>,
        connect_timeout: Duration,
        response_timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            connector,
            runtime,
            response_timeout,
            connect_timeout,
            state: Mutex::default(),
        })
    }

    /// The present connection, or a new one. Cancel-safe.
    pub async fn live(self: &Arc<Self>) -> Result<Arc<Live>, Failure> {
        let (answer, first) = {
            let mut state = self.state();
            if let Some(live) = &state.live {
                return Ok(live.clone());
            }
            let (sender, answer) = oneshot::channel();
            match &mut state.waiting {
                Some(waiting) => {
                    waiting.push(sender);
                    (answer, false)
                }
                None => {
                    if let Some(failed) = state
                        .failed
                        .as_ref()
                        .filter(|failed| self.runtime.now() < failed.retry_from)
                    {
                        return Err(self.not_connected(failed.why.clone()));
                    }
                    state.waiting = Some(vec![sender]);
                    (answer, true)
                }
            }
        };
        if first {
            self.runtime.spawn(Box::pin(
                Connecting {
                    link: self.clone(),
                    over: false,
                }
                .run(),
            ));
        }
        answer
            .await
            .unwrap_or_else(|_| Err(self.not_connected(ConnectFailure::Dropped)))
    }

    /// Uses this connection no more. What is under way on it may still be answered.
    pub fn retire(&self, live: &Live, why: &Failure) {
        let mut state = self.state();
        if state
            .live
            .as_ref()
            .is_some_and(|current| current.generation == live.generation)
        {
            state.live = None;
            drop(state);
            tracing::debug!(generation = live.generation, %why, "connection retired");
        }
    }

    /// Lets the present connection go; the next command opens a new one.
    pub fn close(&self) {
        self.state().live = None;
    }

    /// For messages, and in tests.
    pub fn address(&self) -> String {
        self.connector.address()
    }

    fn not_connected(&self, why: ConnectFailure) -> Failure {
        Failure::NotConnected {
            address: self.address(),
            why,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that connects. Whatever becomes of it (a panic in the connector, the end of the
/// runtime), those who wait are told.
struct Connecting {
    link: Arc<Link>,
    over: bool,
}

impl Connecting {
    async fn run(mut self) {
        let link = self.link.clone();
        let until = link.runtime.now() + link.connect_timeout;
        let outcome = match timeout(&*link.runtime, until, link.connector.connect()).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(error)) => Err(ConnectFailure::Refused(error)),
            Err(_) => Err(ConnectFailure::Timeout(link.connect_timeout)),
        };
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Result<Connected, ConnectFailure>) {
        self.over = true;
        let link = &self.link;
        let (waiting, answer) = {
            let mut state = link.state();
            let answer = match outcome {
                Ok(connected) => {
                    // Starts at 1: 0 means none.
                    let generation = NonZeroU64::MIN.saturating_add(state.generation);
                    state.generation = generation.get();
                    state.failed = None;
                    let live = Arc::new(Live::new(generation, connected, &*link.runtime));
                    state.live = Some(live.clone());
                    tracing::debug!(generation, "connected");
                    Ok(live)
                }
                Err(why) => {
                    let in_a_row = state
                        .failed
                        .as_ref()
                        .map_or(0, |failed| failed.in_a_row)
                        .saturating_add(1);
                    let backoff =
                        FIRST_BACKOFF.saturating_mul(1 << in_a_row.min(10).saturating_sub(1));
                    let retry_from = link.runtime.now() + backoff.min(LONGEST_BACKOFF);
                    state.failed = Some(Failed {
                        why: why.clone(),
                        in_a_row,
                        retry_from,
                    });
                    let failure = link.not_connected(why);
                    tracing::debug!(%failure, in_a_row, "connecting failed");
                    Err(failure)
                }
            };
            (state.waiting.take().unwrap_or_default(), answer)
        };
        for caller in waiting {
            // A caller that has given up does not listen.
            let _ = caller.send(answer.clone());
        }
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        if !self.over {
            self.finish(Err(ConnectFailure::Dropped));
        }
    }
}

impl Live {
    fn new(generation: NonZeroU64, connected: Connected, runtime: &dyn Runtime) -> Self {
        let driver = connected.driver.map(|driver| {
            let (alive, gone) = oneshot::channel();
            runtime.spawn(Box::pin(async move {
                race(driver, gone).await;
            }));
            alive
        });
        Self {
            generation,
            wire: Box::new(connected.connection),
            probe: ProbeState::default(),
            _driver: driver,
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Link")
            .field("address", &self.address())
            .field("connected", &state.live.is_some())
            .field("generation", &state.generation)
            .finish()
    }
}
