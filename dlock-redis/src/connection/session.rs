use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use dlock_core::runtime::{Runtime, timeout};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::{Cmd, Value};

use super::link::Live;
use super::{Failure, Link, Wire};

/// A request that several wait for.
pub(crate) type Flight = Shared<BoxFuture<'static, Result<Value, Failure>>>;

/// How a store reaches its server.
#[derive(Clone)]
pub(crate) enum Route {
    /// A connection of our own, reopened when it breaks.
    Own(Arc<Link>),
    /// A user's connection: it reconnects by itself or not at all, and we do not see when.
    Theirs {
        wire: Arc<dyn Wire>,
        runtime: Arc<dyn Runtime>,
        response_timeout: Duration,
    },
}

impl Route {
    /// A connection to use for one step. Opens one if need be, within the connect timeout.
    pub async fn session(&self) -> Result<Session, Failure> {
        match self {
            Self::Own(link) => {
                let live = link.live().await?;
                Ok(Session {
                    path: Path::Own {
                        link: link.clone(),
                        live,
                    },
                })
            }
            Self::Theirs {
                wire,
                runtime,
                response_timeout,
            } => Ok(Session {
                path: Path::Theirs {
                    wire: wire.clone(),
                    runtime: runtime.clone(),
                    response_timeout: *response_timeout,
                },
            }),
        }
    }
}

/// One connection for the length of one step: all its commands go over it, in order.
#[derive(Clone)]
pub(crate) struct Session {
    path: Path,
}

#[derive(Clone)]
enum Path {
    Own {
        link: Arc<Link>,
        live: Arc<Live>,
    },
    Theirs {
        wire: Arc<dyn Wire>,
        runtime: Arc<dyn Runtime>,
        response_timeout: Duration,
    },
}

impl Session {
    /// Which of our connections this is. What was sent on one is answered in order; across two, or
    /// on a user's, nothing is known (`None`).
    pub fn generation(&self) -> Option<NonZeroU64> {
        match &self.path {
            Path::Own { live, .. } => Some(live.generation),
            Path::Theirs { .. } => None,
        }
    }

    /// Sends a command and waits for its answer, as [`answer`](Self::answer) does.
    pub async fn request(&self, command: &Cmd) -> Result<Value, Failure> {
        self.answer(send(self.wire(), command)).await
    }

    /// The same for several who wait: whoever polls it sends it. It has no time limit of its own, and
    /// no timer that would belong to one of them.
    pub fn share(&self, command: Cmd) -> Flight {
        let session = self.clone();
        let flight = async move { send(session.wire(), &command).await };
        flight.boxed().shared()
    }

    /// Waits for an answer over this connection, at most for the response timeout.
    ///
    /// A broken or silent connection is retired. So is one whose silence nobody waited for: when
    /// this future is dropped before the answer, the connection is probed in the background.
    pub async fn answer(
        &self,
        answer: impl Future<Output = Result<Value, Failure>>,
    ) -> Result<Value, Failure> {
        match &self.path {
            Path::Own { link, live } => {
                let mut in_doubt = InDoubt {
                    link,
                    live,
                    answered: false,
                };
                let answer = in_time(&*link.runtime, link.response_timeout, answer).await;
                in_doubt.answered = true;
                if let Err(failure) = &answer
                    && failure.breaks_connection()
                {
                    link.retire(live, failure);
                }
                answer
            }
            Path::Theirs {
                runtime,
                response_timeout,
                ..
            } => in_time(&**runtime, *response_timeout, answer).await,
        }
    }

    fn wire(&self) -> &dyn Wire {
        match &self.path {
            Path::Own { live, .. } => &*live.wire,
            Path::Theirs { wire, .. } => &**wire,
        }
    }

    /// Reads an answer. One that makes no sense retires the connection: perhaps answers and
    /// commands on it are out of step.
    pub fn understand<T>(
        &self,
        answer: Result<Value, Failure>,
        read: impl FnOnce(&Value) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let understood = read(&answer?);
        if let (Err(failure), Path::Own { link, live }) = (&understood, &self.path) {
            link.retire(live, failure);
        }
        understood
    }
}

pub(super) async fn ask(
    wire: &dyn Wire,
    runtime: &dyn Runtime,
    limit: Duration,
    command: &Cmd,
) -> Result<Value, Failure> {
    in_time(runtime, limit, send(wire, command)).await
}

async fn send(wire: &dyn Wire, command: &Cmd) -> Result<Value, Failure> {
    match wire.request(command).await {
        Err(error) => Err(Failure::of_command(error)),
        Ok(value) => value.extract_error().map_err(Failure::Answered),
    }
}

async fn in_time(
    runtime: &dyn Runtime,
    limit: Duration,
    answer: impl Future<Output = Result<Value, Failure>>,
) -> Result<Value, Failure> {
    match timeout(runtime, runtime.now() + limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Failure::NoAnswer(limit)),
    }
}

/// Dropped while a command is unanswered: its caller gave up, perhaps because the connection is
/// dead. Every caller's patience may be shorter than our own timeout, so somebody else must look.
struct InDoubt<'a> {
    link: &'a Arc<Link>,
    live: &'a Arc<Live>,
    answered: bool,
}

impl Drop for InDoubt<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.link.probe(self.live);
        }
    }
}
