use std::fmt;

use async_trait::async_trait;
use etcd_client::{Client, ConnectOptions, Error};

/// Makes the client that talks to one member. A store calls it whenever it needs a new one, for one member after the
/// other.
///
/// The usual one is `etcd-client`'s own way to connect; a simulator puts its own network in here.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// A client for this endpoint, authentication included. The store runs this as a task on its `Runtime`, and drops
    /// it after its connect timeout.
    async fn connect(&self, endpoint: &str) -> Result<Client, Error>;
}

/// Over the network of the operating system.
pub(crate) struct WithOptions(pub ConnectOptions);

#[async_trait]
impl Connector for WithOptions {
    async fn connect(&self, endpoint: &str) -> Result<Client, Error> {
        // Without credentials this does no I/O: the first request connects.
        Client::connect([endpoint], Some(self.0.clone())).await
    }
}

// R14: the options have the password.
impl fmt::Debug for dyn Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
