//! What a store's servers are to the world.

use std::sync::Arc;

use dlock_core::store::{Capabilities, LockStore};

use crate::faults::FaultKind;
use crate::world::{Machine, World};

/// A kind of store that can be put into a world.
pub trait SimStore: Send + Sync + 'static {
    /// Its name in plans: `redis`, `redis-replica`, `etcd`.
    fn name(&self) -> &str;

    /// The names of its servers.
    fn servers(&self) -> Vec<String>;

    /// What the real store declares.
    fn capabilities(&self) -> Capabilities;

    /// Puts the servers into a world. With `verbose`, the trace shows every request.
    fn found(&self, world: &mut World, verbose: bool) -> Arc<dyn Service>;
}

/// A store's servers in a world.
pub trait Service: Send + Sync {
    /// The real store for the process on this machine, over the world's network. Called in the process.
    fn connect(&self, machine: &Arc<Machine>) -> Arc<dyn LockStore>;

    /// A fault begins, happens, or ends. What is not the servers' is ignored. Called between steps.
    fn apply(&self, fault: &FaultKind, phase: Phase);

    /// The server that dies when this fault begins, besides those that it names.
    fn dies_with(&self, fault: &FaultKind) -> Option<String> {
        let _ = fault;
        None
    }

    /// The server that it brings back when it ends.
    fn comes_back_after(&self, fault: &FaultKind) -> Option<String> {
        let _ = fault;
        None
    }

    /// A step has passed: leases run out, replicas catch up. Called between steps.
    fn stepped(&self) {}
}

/// Of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It begins, or happens.
    Begins,
    /// It ends.
    Ends,
}
