use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;

use crate::runtime::Runtime;
use crate::store::LockStore;

/// One more client, or why there is none.
pub type Connected = Result<Arc<dyn LockStore>, Box<dyn Error + Send + Sync>>;

/// Connects the cases to the backend under test. Made inside the tokio runtime of one case.
#[async_trait]
pub trait StoreFactory: Send + Sync {
    /// One more client of the same backend: what another process would be.
    async fn connect(&self) -> Connected;

    /// The clock, timers and tasks of the stores, which the cases use, too.
    fn runtime(&self) -> Arc<dyn Runtime>;

    /// Why there is no backend to test here (no server is installed, say): every case is then
    /// skipped for this reason. Default: there is one.
    fn unavailable(&self) -> Option<String> {
        None
    }
}

/// A backend in this process, where one store value serves all clients.
pub struct SameStore {
    store: Arc<dyn LockStore>,
    runtime: Arc<dyn Runtime>,
}

impl SameStore {
    /// All clients are this store, which was made with this runtime.
    pub fn new(store: impl LockStore, runtime: Arc<dyn Runtime>) -> Self {
        Self {
            store: Arc::new(store),
            runtime,
        }
    }
}

#[async_trait]
impl StoreFactory for SameStore {
    async fn connect(&self) -> Connected {
        Ok(self.store.clone())
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        self.runtime.clone()
    }
}
