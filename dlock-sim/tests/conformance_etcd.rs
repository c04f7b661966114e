//! `dlock-etcd` passes dlock's conformance kit on the simulated etcd, in virtual time: the real store, the real
//! client, HTTP/2 and gRPC, over pipes.
#![cfg(feature = "etcd")]

use std::sync::Arc;

use async_trait::async_trait;
use dlock_core::conformance::{Connected, StoreFactory, VirtualRuntime};
use dlock_core::runtime::Runtime;
use dlock_etcd::EtcdStore;
use dlock_sim::etcd::{EtcdCluster, EtcdOptions, client, serve};
use dlock_sim::trace::{Recorder, TrueClock};

/// All clients on the leader.
mod through_the_leader {
    use super::*;

    dlock_core::conformance_tests!(virtual_time: OnCluster::new(0));
}

/// All clients on a member that is always a little behind.
mod through_a_follower {
    use super::*;

    dlock_core::conformance_tests!(virtual_time: OnCluster::new(1));
}

struct OnCluster {
    cluster: EtcdCluster,
    member: usize,
    runtime: Arc<VirtualRuntime>,
}

struct Clock(Arc<VirtualRuntime>);

impl TrueClock for Clock {
    fn now_ns(&self) -> u64 {
        self.0.now().as_nanos()
    }
}

impl OnCluster {
    fn new(member: usize) -> Self {
        let runtime = Arc::new(VirtualRuntime::new(7));
        let recorder = Recorder::new(Arc::new(Clock(runtime.clone())));
        let cluster = EtcdCluster::new(EtcdOptions::default(), recorder);
        let driven = cluster.clone();
        let driver = runtime.clone();
        runtime.spawn(Box::pin(async move { driven.drive(driver).await }));
        Self {
            cluster,
            member,
            runtime,
        }
    }
}

#[async_trait]
impl StoreFactory for OnCluster {
    async fn connect(&self) -> Connected {
        let (cluster, member) = (self.cluster.clone(), self.member);
        let servers = self.runtime.clone();
        let client = client(self.runtime.clone(), move || {
            let (here, there) = tokio::io::duplex(64 * 1024);
            let peer = "client".to_owned();
            let serving = serve(cluster.clone(), member, there, peer, servers.clone());
            servers.spawn(Box::pin(serving));
            async move { Ok(here) }
        })
        .await?;
        let store = EtcdStore::builder()
            .client(client)
            .runtime(self.runtime.clone())
            .connect()
            .await?;
        Ok(Arc::new(store))
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        self.runtime.clone()
    }
}
