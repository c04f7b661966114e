//! The store passes dlock's conformance kit on a real etcd.

use std::sync::Arc;

use async_trait::async_trait;
use dlock_core::conformance::{Connected, StoreFactory};
use dlock_core::runtime::{Runtime, TokioRuntime};
use dlock_etcd::EtcdStore;

#[allow(unused_imports)]
mod support;

dlock_core::conformance_tests!(real_time: OnServer::new());

struct OnServer {
    endpoint: Option<String>,
    runtime: Arc<dyn Runtime>,
}

impl OnServer {
    fn new() -> Self {
        Self {
            endpoint: support::etcd(),
            runtime: Arc::new(TokioRuntime::new()),
        }
    }
}

#[async_trait]
impl StoreFactory for OnServer {
    async fn connect(&self) -> Connected {
        let endpoint = self.endpoint.clone().ok_or("there is no etcd")?;
        let store = EtcdStore::builder()
            .endpoints([endpoint])
            .runtime(self.runtime.clone())
            .connect()
            .await?;
        Ok(Arc::new(store))
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        self.runtime.clone()
    }

    fn unavailable(&self) -> Option<String> {
        self.endpoint
            .is_none()
            .then(|| "there is no etcd".to_owned())
    }
}
