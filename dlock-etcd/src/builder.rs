use std::sync::Arc;
use std::time::Duration;

use dlock_core::runtime::{Runtime, TokioRuntime};
use etcd_client::{Client, ConnectOptions};

use crate::connector::{Connector, WithOptions};
use crate::inner::Inner;
use crate::members::Source;
use crate::{Error, EtcdStore};

/// etcd refuses clients that ping more often than every 5 s.
const PING: Duration = Duration::from_secs(6);
const PONG: Duration = Duration::from_secs(2);

/// Settings of an [`EtcdStore`], which [`connect`](Self::connect) or [`lazy`](Self::lazy) makes.
#[must_use]
pub struct EtcdStoreBuilder {
    endpoints: Option<Vec<String>>,
    client: Option<Client>,
    connector: Option<Arc<dyn Connector>>,
    user: Option<(String, String)>,
    #[cfg(feature = "tls")]
    tls: Option<etcd_client::TlsOptions>,
    prefix: String,
    runtime: Option<Arc<dyn Runtime>>,
    connect_timeout: Duration,
    response_timeout: Duration,
}

impl EtcdStoreBuilder {
    pub(crate) fn new() -> Self {
        Self {
            endpoints: None,
            client: None,
            connector: None,
            user: None,
            #[cfg(feature = "tls")]
            tls: None,
            prefix: "lock/".to_owned(),
            runtime: None,
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
        }
    }

    /// The members: `http://host:port`, or `https://host:port` (feature `tls`). One after the other is
    /// asked, beginning with the first. Default `http://127.0.0.1:2379`.
    pub fn endpoints<E: Into<String>>(mut self, endpoints: impl IntoIterator<Item = E>) -> Self {
        self.endpoints = Some(endpoints.into_iter().map(Into::into).collect());
        self
    }

    /// A client of one's own instead of endpoints: it chooses the members, knows credentials and
    /// certificates, and should have a connect timeout and pings (`with_keep_alive`). It must live on the
    /// runtime that the store is used on.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// How members are connected to, instead of `etcd-client`'s own way. It sees to credentials and certificates
    /// itself, and its clients should require a leader.
    pub fn connector(mut self, connector: impl Connector) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }

    /// The user and the password. Default: none.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// Certificates: of an authority to trust instead of the system's, of a client's own. Default: the
    /// system's authorities, no client certificate.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, options: etcd_client::TlsOptions) -> Self {
        self.tls = Some(options);
        self
    }

    /// What stands before the lock's name in its key. Default `lock/`: the lock `name` is what
    /// `etcdctl lock lock/name` locks. May be empty. Not a namespace by itself: `app/` with `x` and
    /// `app/x/` with any name share keys; do not use both.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Clock, sleep, spawn and randomness. Default [`TokioRuntime`]. Give the `Locker` the same.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// How long connecting may take, authentication included. Default 2 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long an answer may take. After it the outcome is indeterminate, and the next member is
    /// asked. Default 2 s; keep it well below the TTLs in use (a TTL of 5 s leaves time for one answer that
    /// does not come).
    pub fn response_timeout(mut self, limit: Duration) -> Self {
        self.response_timeout = limit;
        self
    }

    /// Makes the store and asks etcd something, so that a wrong address, user or right shows here: an
    /// [`Error`]. Takes at most the response timeout for each member. Cancel-safe.
    pub async fn connect(self) -> Result<EtcdStore, Error> {
        let store = self.lazy()?;
        store.probe().await?;
        Ok(store)
    }

    /// Makes the store and connects when it is first used. No I/O; fails only for options that make no sense.
    pub fn lazy(mut self) -> Result<EtcdStore, Error> {
        for (option, limit) in [
            ("a connect timeout of zero", self.connect_timeout),
            ("a response timeout of zero", self.response_timeout),
        ] {
            if limit.is_zero() {
                return Err(Error::InvalidOption {
                    option,
                    remedy: "choose a time above 0",
                });
            }
        }
        let runtime = self
            .runtime
            .take()
            .unwrap_or_else(|| Arc::new(TokioRuntime::new()));
        let (prefix, connect_timeout, response_timeout) = (
            std::mem::take(&mut self.prefix),
            self.connect_timeout,
            self.response_timeout,
        );
        let source = self.source()?;
        Ok(EtcdStore {
            inner: Inner::new(source, runtime, connect_timeout, response_timeout, prefix),
        })
    }

    fn source(self) -> Result<Source, Error> {
        #[cfg(feature = "tls")]
        let has_tls = self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let has_tls = false;
        if let Some(client) = self.client {
            if self.endpoints.is_some()
                || self.connector.is_some()
                || self.user.is_some()
                || has_tls
            {
                return Err(Error::InvalidOption {
                    option: "a client of one's own with endpoints, a connector, a user or TLS beside it",
                    remedy: "give these to the client",
                });
            }
            return Ok(Source::Theirs(Box::new(client)));
        }
        let default = || vec!["http://127.0.0.1:2379".to_owned()];
        let endpoints = self.endpoints.unwrap_or_else(default);
        if endpoints.is_empty() {
            return Err(Error::InvalidOption {
                option: "an empty list of endpoints",
                remedy: "name at least one member",
            });
        }
        for endpoint in &endpoints {
            check(endpoint)?;
        }
        if let Some(connector) = self.connector {
            if self.user.is_some() || has_tls {
                return Err(Error::InvalidOption {
                    option: "a connector of one's own with a user or TLS beside it",
                    remedy: "give these to the connector",
                });
            }
            return Ok(Source::Endpoints {
                endpoints,
                connector,
            });
        }
        let mut options = ConnectOptions::new()
            .with_require_leader(true)
            .with_auto_token_refresh(true)
            .with_keep_alive(PING, PONG)
            .with_connect_timeout(self.connect_timeout);
        if let Some((name, password)) = self.user {
            options = options.with_user(name, password);
        }
        #[cfg(feature = "tls")]
        if endpoints.iter().any(|one| one.starts_with("https://")) {
            if endpoints.iter().any(|one| one.starts_with("http://")) {
                return Err(Error::InvalidOption {
                    option: "a mixture of http:// and https:// endpoints",
                    remedy: "use one or the other",
                });
            }
            let system = || etcd_client::TlsOptions::new().with_enabled_roots();
            options = options.with_tls(self.tls.unwrap_or_else(system));
        } else if self.tls.is_some() {
            return Err(Error::InvalidOption {
                option: "TLS with http:// endpoints",
                remedy: "write https://",
            });
        }
        Ok(Source::Endpoints {
            endpoints,
            connector: Arc::new(WithOptions(options)),
        })
    }
}

fn check(endpoint: &str) -> Result<(), Error> {
    let invalid = |problem: &str| Error::InvalidEndpoint {
        endpoint: without_credentials(endpoint),
        problem: problem.to_owned(),
    };
    if endpoint.contains('@') {
        return Err(invalid(
            "credentials do not belong into it; use `EtcdStoreBuilder::user`",
        ));
    }
    let rest = if let Some(rest) = endpoint.strip_prefix("https://") {
        if cfg!(not(feature = "tls")) {
            return Err(Error::TlsNotEnabled {
                endpoint: endpoint.to_owned(),
            });
        }
        rest
    } else {
        endpoint
            .strip_prefix("http://")
            .ok_or_else(|| invalid("it begins with neither http:// nor https://"))?
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let uri: tonic::codegen::http::Uri = format!("http://{authority}/")
        .parse()
        .map_err(|_| invalid("it is no URL"))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(invalid("it has no host"));
    }
    if uri.port_u16().is_none() {
        return Err(invalid("it has no port"));
    }
    if uri.path() != "/" || uri.query().is_some() {
        return Err(invalid("it has a path"));
    }
    Ok(())
}

/// R14: what stands before the `@`, whatever else is wrong with it, must not be shown.
fn without_credentials(endpoint: &str) -> String {
    match endpoint.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => endpoint.to_owned(),
    }
}

impl std::fmt::Debug for EtcdStoreBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // R14: no credentials.
        let endpoints = self
            .endpoints
            .iter()
            .flatten()
            .map(|one| without_credentials(one));
        f.debug_struct("EtcdStoreBuilder")
            .field("endpoints", &endpoints.collect::<Vec<_>>())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
