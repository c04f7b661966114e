//! Faults as data: a [`Plan`] is made before the run, from a random stream of its own, and can be kept, changed,
//! shrunk and played again.

mod driver;
mod fault;
mod plan;
mod swarm;

pub(crate) use driver::{Driver, SafePoints, WORLD, cut_for_good};
pub use fault::{Disk, Fault, FaultKind, Garbage, OldPrimary};
pub use plan::Plan;
pub use swarm::{Faults, Swarm};
pub(crate) use swarm::{Ground, generate, random_core};
