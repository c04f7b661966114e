//! Runs of a world: one schedule, many seeds, and what is said about them.

mod builder;
mod failure;
mod judge;
mod schedule;
mod shrink;
mod workload;

pub use builder::{Simulation, Summary};
pub use failure::{Failure, Files};
pub(crate) use judge::Ask;
pub use judge::{Broken, Judgement};
pub(crate) use schedule::{Job, Played, Schedule, client_names, lock_names};
#[cfg(all(feature = "redis", feature = "etcd"))]
pub(crate) use workload::sweep;
