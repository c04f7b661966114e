use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dlock_core::LockName;
use dlock_core::runtime::Runtime;
use dlock_core::store::StoreError;
use redis::aio::ConnectionLike;

use crate::Error;
use crate::builder::{RedisStoreBuilder, Settings, on_connection};
use crate::connection::failure::Meaning;
use crate::connection::{Failure, Route, Session, WakeupLink};
use crate::keys::{Keys, Reserved};
use crate::waiting::Waiting;

/// Locks on one Redis or Valkey server (Redis 6.0 or newer). Cheap to clone; clones share the
/// connection, and their waiting attempts stand in one line.
///
/// The connection is reopened when it breaks. An answer that does not come is an
/// [`Indeterminate`](StoreError::Indeterminate) error within the response timeout, never a hang.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    route: Route,
    runtime: Arc<dyn Runtime>,
    prefix: String,
    counter_retention: Duration,
    waiting: Arc<Waiting>,
    /// Where wakeups come from; without it waiting attempts poll.
    wakeups: Option<WakeupLink>,
}

impl RedisStore {
    /// Connects to the server at this URL, with all settings at their defaults.
    ///
    /// Fails at once when the URL is wrong, the server cannot be reached, or it refuses the
    /// credentials. Cancel-safe.
    pub async fn connect(url: impl Into<String>) -> Result<Self, Error> {
        Self::builder().url(url).connect().await
    }

    /// All the settings.
    pub fn builder() -> RedisStoreBuilder {
        RedisStoreBuilder::new()
    }

    /// A store on a connection that is open already, with all settings at their defaults; with
    /// others: [`RedisStoreBuilder::connection`].
    ///
    /// Waiting attempts poll, some ten times a second each instance, because a connection cannot tell whether pushed messages may be sent to
    /// it; [`RedisStoreBuilder::wakeups`] adds a link for them.
    ///
    /// It is used as it is: when it breaks, whoever made it has to replace it. Because nobody can
    /// tell whether it was replaced meanwhile, the clean-up after an unanswered request takes a TTL
    /// longer than on a connection of the store's own. It must not send a command again by itself
    /// when an answer is lost. Its own response timeout may be shorter than the store's.
    pub fn from_connection<C>(connection: C) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        on_connection(Arc::new(connection), None, Settings::default())
    }

    pub(crate) fn new(
        route: Route,
        wakeups: Option<WakeupLink>,
        runtime: Arc<dyn Runtime>,
        settings: Settings,
    ) -> Self {
        let Settings {
            prefix,
            counter_retention,
            response_timeout,
            ..
        } = settings;
        Self {
            inner: Arc::new(Inner {
                route,
                wakeups,
                waiting: Waiting::new(runtime.clone(), response_timeout),
                runtime,
                prefix,
                counter_retention,
            }),
        }
    }

    pub(crate) async fn ping(&self) -> Result<(), Error> {
        self.inner.runtime.ready()?;
        let answer = match self.session().await {
            Ok(session) => session.request(&redis::cmd("PING")).await,
            Err(failure) => Err(failure),
        };
        answer.map(drop).map_err(not_connected)
    }

    pub(crate) async fn session(&self) -> Result<Session, Failure> {
        self.inner.route.session().await
    }

    pub(crate) fn keys(&self, name: &LockName) -> Result<Keys, StoreError> {
        Keys::new(&self.inner.prefix, name).map_err(|Reserved| {
            StoreError::rejected(
                "the lock's key would look like one that dlock keeps beside its locks: choose another prefix or name",
            )
        })
    }

    pub(crate) fn counter_retention(&self) -> Duration {
        self.inner.counter_retention
    }

    pub(crate) fn waiting(&self) -> &Arc<Waiting> {
        &self.inner.waiting
    }

    /// Whether there is a link for wakeups.
    pub(crate) fn is_pushed(&self) -> bool {
        self.inner.wakeups.is_some()
    }

    /// Somebody waits: sees to it that wakeups come.
    pub(crate) fn listen(&self) {
        if let Some(wakeups) = &self.inner.wakeups {
            wakeups.start(&self.inner.waiting);
        }
    }

    pub(crate) fn disconnect(&self) {
        if let Some(wakeups) = &self.inner.wakeups {
            wakeups.close();
        }
        if let Route::Own(link) = &self.inner.route {
            link.close();
        }
    }
}

fn not_connected(failure: Failure) -> Error {
    let rejected = failure.meaning() == Meaning::Rejected;
    let message = failure.to_string();
    let source = failure.into_source();
    match rejected {
        true => Error::Rejected { message, source },
        false => Error::Unavailable { message, source },
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RedisStore");
        if let Route::Own(link) = &self.inner.route {
            shown.field("link", link);
        }
        shown
            .field("prefix", &self.inner.prefix)
            .finish_non_exhaustive()
    }
}
