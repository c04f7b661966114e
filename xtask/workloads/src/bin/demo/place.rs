use dlock_workloads::Store;

use crate::LOCK;

/// Where the lock and the counter are.
pub struct Place {
    pub store: Store,
    pub url: String,
    /// The counter's key.
    pub counter: String,
}

impl Place {
    /// A counter of this process's own, so that it begins with 0.
    pub fn new(store: Store, url: &str) -> Self {
        let run = std::process::id();
        let counter = match store {
            // In the lock's Cluster slot, as fenced data must be.
            Store::Redis => format!("{{lock:{LOCK}}}counter:{run}"),
            Store::Etcd => format!("{LOCK}/counter/{run}"),
        };
        Self::with_counter(store, url, &counter)
    }

    pub fn with_counter(store: Store, url: &str, counter: &str) -> Self {
        Self {
            store,
            url: url.to_owned(),
            counter: counter.to_owned(),
        }
    }
}
