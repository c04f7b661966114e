use std::path::Path;

use anyhow::Result;

use crate::etcd_server::EtcdServer;
use crate::redis_server::RedisServer;
use crate::store::Store;

/// A server of our own for one store, stopped when dropped.
pub(crate) enum StoreServer {
    Redis(RedisServer),
    Etcd(EtcdServer),
}

impl StoreServer {
    pub(crate) fn start(store: Store, binary: &Path) -> Result<Self> {
        Ok(match store {
            Store::Redis => Self::Redis(RedisServer::start(binary)?),
            Store::Etcd => Self::Etcd(EtcdServer::start(binary)?),
        })
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Redis(server) => server.url(),
            Self::Etcd(server) => server.url(),
        }
    }

    pub(crate) fn version(&self) -> &str {
        match self {
            Self::Redis(server) => server.version(),
            Self::Etcd(server) => server.version(),
        }
    }
}
