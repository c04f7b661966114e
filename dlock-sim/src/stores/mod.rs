//! The stores that can be put into a world: the real crates, on simulated servers.

#[cfg(feature = "etcd")]
pub(crate) mod etcd;
#[cfg(feature = "redis")]
pub(crate) mod redis;

use std::sync::Arc;

#[cfg(feature = "etcd")]
pub use etcd::SimEtcd;
#[cfg(feature = "redis")]
pub use redis::SimRedis;

use crate::service::SimStore;

/// All stores, by the names that plans use.
pub fn all() -> Vec<Arc<dyn SimStore>> {
    vec![
        #[cfg(feature = "redis")]
        Arc::new(SimRedis::single()),
        #[cfg(feature = "redis")]
        Arc::new(SimRedis::primary_with_replica()),
        #[cfg(feature = "etcd")]
        Arc::new(SimEtcd::cluster()),
    ]
}

/// The store of this name.
pub fn find(name: &str) -> Option<Arc<dyn SimStore>> {
    all().into_iter().find(|store| store.name() == name)
}
