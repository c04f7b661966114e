//! The real store passes dlock's conformance kit on the simulated Redis.
#![cfg(feature = "redis")]

use std::sync::Arc;

use async_trait::async_trait;
use dlock_core::conformance::{Connected, StoreFactory, VirtualRuntime};
use dlock_core::runtime::Runtime;
use dlock_redis::redis::aio::MultiplexedConnection;
use dlock_redis::redis::{
    AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisResult,
};
use dlock_redis::{Connector, RedisStore, Wakeups};
use dlock_sim::redis::{Topology, TopologySettings, serve};
use dlock_sim::trace::{Recorder, TrueClock};

dlock_core::conformance_tests!(virtual_time: InMemory::new());

struct InMemory {
    topology: Topology,
    runtime: Arc<dyn Runtime>,
}

struct ClockOf(Arc<dyn Runtime>);

impl TrueClock for ClockOf {
    fn now_ns(&self) -> u64 {
        self.0.now().as_nanos()
    }
}

impl InMemory {
    fn new() -> Self {
        let runtime: Arc<dyn Runtime> = Arc::new(VirtualRuntime::new(11));
        let recorder = Recorder::new(Arc::new(ClockOf(runtime.clone())));
        Self {
            topology: Topology::new(TopologySettings::single("redis"), recorder),
            runtime,
        }
    }
}

#[async_trait]
impl StoreFactory for InMemory {
    async fn connect(&self) -> Connected {
        let connector = ToTopology {
            topology: self.topology.clone(),
            runtime: self.runtime.clone(),
        };
        let store = RedisStore::builder()
            .connector(connector)
            .runtime(self.runtime.clone())
            .connect()
            .await?;
        Ok(Arc::new(store))
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        self.runtime.clone()
    }
}

struct ToTopology {
    topology: Topology,
    runtime: Arc<dyn Runtime>,
}

impl ToTopology {
    async fn open(
        &self,
        info: RedisConnectionInfo,
        config: AsyncConnectionConfig,
    ) -> RedisResult<dlock_redis::Connected> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (topology, runtime) = (self.topology.clone(), self.runtime.clone());
        let serving = serve(topology, 0, theirs, "client", runtime);
        self.runtime.spawn(Box::pin(serving));
        let config = config
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let opening = MultiplexedConnection::new_with_config(&info, ours, config);
        let (connection, driver) = opening.await?;
        Ok(dlock_redis::Connected {
            connection,
            driver: Some(Box::pin(driver)),
        })
    }
}

#[async_trait]
impl Connector for ToTopology {
    async fn connect(&self) -> RedisResult<dlock_redis::Connected> {
        let info = RedisConnectionInfo::default();
        self.open(info, AsyncConnectionConfig::new()).await
    }

    fn pushes(&self) -> bool {
        true
    }

    async fn connect_for_wakeups(&self, wakeups: Wakeups) -> RedisResult<dlock_redis::Connected> {
        let info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        let config = AsyncConnectionConfig::new().set_push_sender(wakeups);
        self.open(info, config).await
    }
}
