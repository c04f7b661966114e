//! A simulated Redis: its data, scripts, clock, replication and persistence, served over any byte
//! stream. It has no transactions (`MULTI`), no access lists, no cluster and no streams or sets: what
//! locks do not need. That it answers as the real server does is tested in `tests/fidelity_redis.rs`.

pub mod engine;
mod lua;
mod protocol;
mod serve;
mod topology;

pub use protocol::{Request, parse};
pub use serve::serve;
pub use topology::{Disk, Garbage, OldPrimary, Topology, TopologySettings};

/// The version it behaves like.
pub const VERSION: &str = "7.0.15";
