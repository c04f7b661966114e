use std::fmt;

use async_trait::async_trait;
use dlock_core::runtime::Task;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, ProtocolVersion, RedisResult,
};

use super::Wakeups;

/// Opens connections to a server. A store calls it whenever it needs a new one.
///
/// The usual one is [`ClientConnector`]; a simulator puts its own network in here.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Opens one connection, authentication included.
    ///
    /// The store runs this as a task on its `Runtime` and drops it after its connect timeout. The
    /// connection should have no timeouts of its own: the store times every command itself.
    async fn connect(&self) -> RedisResult<Connected>;

    /// Whether [`connect_for_wakeups`](Self::connect_for_wakeups) works; when not (the default),
    /// waiting attempts poll.
    fn pushes(&self) -> bool {
        false
    }

    /// Opens a connection that speaks RESP3 and puts what the server pushes into `wakeups`. Timeouts
    /// as in [`connect`](Self::connect).
    async fn connect_for_wakeups(&self, wakeups: Wakeups) -> RedisResult<Connected> {
        let _ = wakeups;
        Err((
            ErrorKind::RESP3NotSupported,
            "this connector opens no such connections",
        )
            .into())
    }

    /// Where it connects to, for error messages: no credentials.
    fn address(&self) -> String {
        "the Redis server".to_owned()
    }
}

/// A new connection.
pub struct Connected {
    /// The connection.
    pub connection: MultiplexedConnection,
    /// The future that moves its bytes, when nobody polls it yet: the store spawns it on its
    /// `Runtime` and drops it when it drops the connection.
    pub driver: Option<Task>,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("driver", &self.driver.is_some())
            .finish_non_exhaustive()
    }
}

/// Connects with a [`redis::Client`], over TCP, TLS or a Unix socket. Needs tokio.
pub struct ClientConnector {
    client: Client,
}

impl ClientConnector {
    /// Connects where this client connects.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

#[async_trait]
impl Connector for ClientConnector {
    async fn connect(&self) -> RedisResult<Connected> {
        open(&self.client, config()).await
    }

    fn pushes(&self) -> bool {
        true
    }

    async fn connect_for_wakeups(&self, wakeups: Wakeups) -> RedisResult<Connected> {
        let info = self.client.get_connection_info();
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.clone().set_redis_settings(settings))?;
        open(&client, config().set_push_sender(wakeups)).await
    }

    fn address(&self) -> String {
        let address = self.client.get_connection_info().addr();
        match address {
            ConnectionAddr::TcpTls { .. } => format!("{address} (TLS)"),
            _ => address.to_string(),
        }
    }
}

/// The store's timeouts run on its own clock.
fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
}

async fn open(client: &Client, config: AsyncConnectionConfig) -> RedisResult<Connected> {
    #[cfg(feature = "tls")]
    tls_provider();
    let connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    Ok(Connected {
        connection,
        driver: None,
    })
}

// R14: the client's own Debug shows the user's name.
impl fmt::Debug for ClientConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConnector")
            .field("address", &self.address())
            .finish()
    }
}

/// rustls panics when no cryptography was chosen for the process, or when features offer two.
#[cfg(feature = "tls")]
fn tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that somebody else was quicker: also good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
