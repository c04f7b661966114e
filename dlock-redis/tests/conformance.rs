//! The store passes dlock's conformance kit on a real server.

use std::sync::Arc;

use async_trait::async_trait;
use dlock_core::conformance::{Connected, StoreFactory};
use dlock_core::runtime::{Runtime, TokioRuntime};
use dlock_redis::RedisStore;

#[allow(unused_imports)]
mod support;

dlock_core::conformance_tests!(real_time: OnServer::new());

struct OnServer {
    url: Option<String>,
    runtime: Arc<dyn Runtime>,
}

impl OnServer {
    fn new() -> Self {
        Self {
            url: support::redis(),
            runtime: Arc::new(TokioRuntime::new()),
        }
    }
}

#[async_trait]
impl StoreFactory for OnServer {
    async fn connect(&self) -> Connected {
        let url = self.url.clone().ok_or("there is no server")?;
        let store = RedisStore::builder()
            .url(url)
            .runtime(self.runtime.clone())
            .connect()
            .await?;
        Ok(Arc::new(store))
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        self.runtime.clone()
    }

    fn unavailable(&self) -> Option<String> {
        self.url
            .is_none()
            .then(|| "there is no redis-server".to_owned())
    }
}
