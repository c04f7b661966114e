use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dlock_core::runtime::{Runtime, TokioRuntime};
use redis::Client;
use redis::aio::ConnectionLike;

use crate::connection::{ClientConnector, Connector, Link, Route, WakeupLink, Wire};
use crate::url;
use crate::{Error, RedisStore};

/// Settings of a [`RedisStore`], which [`connect`](Self::connect) or [`lazy`](Self::lazy) makes.
#[must_use]
pub struct RedisStoreBuilder {
    server: Server,
    wakeups: Option<Arc<dyn Connector>>,
    settings: Settings,
}

/// Where the server is. The last one set counts.
enum Server {
    Url(String),
    Connector(Arc<dyn Connector>),
    Theirs(Arc<dyn Wire>),
}

pub(crate) struct Settings {
    pub prefix: String,
    pub runtime: Option<Arc<dyn Runtime>>,
    pub connect_timeout: Duration,
    pub response_timeout: Duration,
    pub counter_retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            prefix: "lock:".to_owned(),
            runtime: None,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
            counter_retention: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

impl RedisStoreBuilder {
    pub(crate) fn new() -> Self {
        Self {
            server: Server::Url("redis://127.0.0.1/".to_owned()),
            wakeups: None,
            settings: Settings::default(),
        }
    }

    /// The server's URL: `redis://[user][:password@]host[:port][/db]`, `rediss://` for TLS (feature
    /// `tls`), or `unix:///path?db=0`. Default `redis://127.0.0.1/`.
    pub fn url(self, url: impl Into<String>) -> Self {
        Self {
            server: Server::Url(url.into()),
            ..self
        }
    }

    /// A prepared client instead of a URL, for instance one with certificates of its own
    /// (`redis::Client::build_with_tls`).
    pub fn client(self, client: Client) -> Self {
        self.connector(ClientConnector::new(client))
    }

    /// A way of one's own to open connections.
    pub fn connector(self, connector: impl Connector) -> Self {
        Self {
            server: Server::Connector(Arc::new(connector)),
            ..self
        }
    }

    /// An open connection: see [`RedisStore::from_connection`].
    pub fn connection<C>(self, connection: C) -> Self
    where
        C: ConnectionLike + Clone + Send + Sync + 'static,
    {
        Self {
            server: Server::Theirs(Arc::new(connection)),
            ..self
        }
    }

    /// Where wakeups come from when the store works on an open [`connection`](Self::connection): a
    /// second connection, which the store opens when the first attempt waits. Other stores have one
    /// already, to the same server; this replaces it.
    pub fn wakeups(self, client: Client) -> Self {
        self.wakeups_over(ClientConnector::new(client))
    }

    /// The same with a way of one's own to open connections.
    pub fn wakeups_over(self, connector: impl Connector) -> Self {
        Self {
            wakeups: Some(Arc::new(connector)),
            ..self
        }
    }

    /// What stands before the lock's name in its key. Default `lock:`. May be empty. Not a
    /// namespace by itself: `app:` with `x:y` and `app:x:` with `y` are one lock.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = prefix.into();
        self
    }

    /// Clock, sleep, spawn and randomness. Default [`TokioRuntime`]. Give the `Locker` the same.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.settings.runtime = Some(runtime);
        self
    }

    /// How long connecting may take, authentication included. Default 2 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.settings.connect_timeout = limit;
        self
    }

    /// How long an answer may take. After it the outcome is indeterminate, and the connection is
    /// replaced. Default 2 s; keep it well below the TTLs in use.
    pub fn response_timeout(mut self, limit: Duration) -> Self {
        self.settings.response_timeout = limit;
        self
    }

    /// How long the counter of a lock name outlives the last lease. Default 7 days.
    ///
    /// The counter keeps tokens rising whatever the server's clock does, and the clock keeps them
    /// rising once the counter has expired: tokens rise unless the server's clock steps back by more
    /// than this, or a lost counter's newest token was ahead of the new server's clock. A counter is
    /// a key of about 150 bytes for each lock name used within that time.
    pub fn counter_retention(mut self, retention: Duration) -> Self {
        self.settings.counter_retention = retention;
        self
    }

    /// Makes the store and connects, so that a wrong address or password shows here.
    pub async fn connect(self) -> Result<RedisStore, Error> {
        let store = self.lazy()?;
        store.ping().await?;
        Ok(store)
    }

    /// Makes the store and connects when it is first used.
    pub fn lazy(self) -> Result<RedisStore, Error> {
        let Self {
            server,
            wakeups,
            settings,
        } = self;
        settings.check()?;
        let connector = match server {
            Server::Url(text) => Arc::new(ClientConnector::new(url::client(&text)?)),
            Server::Connector(connector) => connector,
            Server::Theirs(wire) => return Ok(on_connection(wire, wakeups, settings)),
        };
        let runtime = settings.runtime();
        let wakeups = wakeups.unwrap_or_else(|| connector.clone());
        let link = Link::new(
            connector,
            runtime.clone(),
            settings.connect_timeout,
            settings.response_timeout,
        );
        let wakeups = wakeup_link(wakeups, &runtime, &settings);
        Ok(RedisStore::new(
            Route::Own(link),
            wakeups,
            runtime,
            settings,
        ))
    }
}

/// A store on a user's connection.
pub(crate) fn on_connection(
    wire: Arc<dyn Wire>,
    wakeups: Option<Arc<dyn Connector>>,
    settings: Settings,
) -> RedisStore {
    let runtime = settings.runtime();
    let route = Route::Theirs {
        wire,
        runtime: runtime.clone(),
        response_timeout: settings.response_timeout,
    };
    let wakeups = wakeups.and_then(|connector| wakeup_link(connector, &runtime, &settings));
    RedisStore::new(route, wakeups, runtime, settings)
}

fn wakeup_link(
    connector: Arc<dyn Connector>,
    runtime: &Arc<dyn Runtime>,
    settings: &Settings,
) -> Option<WakeupLink> {
    connector.pushes().then(|| {
        WakeupLink::new(
            connector,
            runtime.clone(),
            settings.connect_timeout,
            settings.response_timeout,
        )
    })
}

impl Settings {
    fn runtime(&self) -> Arc<dyn Runtime> {
        self.runtime
            .clone()
            .unwrap_or_else(|| Arc::new(TokioRuntime::new()))
    }

    fn check(&self) -> Result<(), Error> {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        let within = |option, value: Duration, least, remedy| {
            let sensible = value >= least && value <= YEAR;
            sensible
                .then_some(())
                .ok_or(Error::InvalidOption { option, remedy })
        };
        let millisecond = Duration::from_millis(1);
        within(
            "connect_timeout",
            self.connect_timeout,
            millisecond,
            "choose 1 ms to a year, for instance 2 s",
        )?;
        within(
            "response_timeout",
            self.response_timeout,
            millisecond,
            "choose 1 ms to a year, for instance 2 s",
        )?;
        within(
            "counter_retention",
            self.counter_retention,
            Duration::from_secs(1),
            "choose 1 s to a year, for instance 7 days",
        )
    }
}

// R14: the URL may contain a password.
impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings {
            prefix,
            connect_timeout,
            response_timeout,
            counter_retention,
            ..
        } = &self.settings;
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", prefix)
            .field("connect_timeout", connect_timeout)
            .field("response_timeout", response_timeout)
            .field("counter_retention", counter_retention)
            .finish_non_exhaustive()
    }
}
