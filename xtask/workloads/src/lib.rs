//! What the programs share: which store they run on, and what its server says.
//!
//! - `bin/demo`: processes that contend for a lock, and are killed and frozen.
//! - `bin/bench`: what locks cost, beside the least they can cost.
//!
//! `cargo xtask` builds them, starts the servers and runs them.
#![allow(clippy::disallowed_methods)] // Applications: they may use tokio directly.

mod etcd_metrics;
mod server;
mod store;

pub use etcd_metrics::EtcdMetrics;
pub use server::Server;
pub use store::Store;

/// Every error is for people to read.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;
