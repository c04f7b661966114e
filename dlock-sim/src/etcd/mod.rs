//! A simulated etcd 3.4: its gRPC services over any connection, on a cluster whose members, leader, leases and faults are
//! ours. [`EtcdCluster`] is the cluster, [`serve`] a connection to one of its members.
//!
//! - [`engine`]: the committed state. `cluster`: who has seen what of it, and who may change it. `service`: the
//!   protocol.
//! - Not simulated: users and roles, alarms and quotas, changes of membership, progress reports by timer,
//!   fragments, lease checkpoints (off in etcd by default).

mod cluster;
mod connect;
pub mod engine;
mod serve;
mod service;

pub use cluster::{EtcdCluster, EtcdOptions, Snapshot};
pub use connect::client;
pub use serve::serve;
