//! etcd v3 as a store for [dlock](dlock_core).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use dlock_core::Locker;
//! use dlock_etcd::EtcdStore;
//!
//! let store = EtcdStore::connect(["http://127.0.0.1:2379"]).await?;
//! let locker = Locker::new(store);
//! let guard = locker.lock("duckDuckGoose").wait(Duration::from_secs(5)).acquire().await?;
//! println!("held until further notice, with token {}", guard.token());
//! guard.release().await?;
//! locker.close().await;
//! # Ok(())
//! # }
//! ```

mod acquire;
mod builder;
mod candidate;
mod capabilities;
mod entry;
mod error;
mod failure;
mod inner;
mod keys;
mod lease;
mod lock_store;
mod members;
mod minder;
mod recipe;
mod release;
mod renew;
mod store;
mod table;
mod value;
mod waiting;
mod watch;

pub use builder::EtcdStoreBuilder;
pub use dlock_core;
pub use error::{Error, NotHeld};
pub use etcd_client;
pub use store::EtcdStore;
