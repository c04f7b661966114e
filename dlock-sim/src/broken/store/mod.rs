//! Broken stores: real ones with one method replaced, and small ones with one flaw.

pub(crate) mod by_message;
pub(crate) mod etcd_recipe;
pub(crate) mod over_etcd;
pub(crate) mod over_redis;
pub(crate) mod plain_redis;
pub(crate) mod raw_redis;
pub(crate) mod twice;

use std::sync::Arc;

use dlock_core::store::{Capabilities, LockStore};

use crate::faults::FaultKind;
use crate::service::{Phase, Service, SimStore};
use crate::world::{Machine, World};

/// Real servers, reached by other code: its plans are those of the real store.
pub(crate) struct OtherClient {
    pub real: Arc<dyn SimStore>,
    pub capabilities: Capabilities,
    pub found: Founder,
}

pub(crate) type Founder = Box<dyn Fn(&mut World, bool) -> Found + Send + Sync>;

/// The servers, and what a client machine reaches them with.
pub(crate) struct Found {
    pub service: Arc<dyn Service>,
    pub connect: Connect,
}

pub(crate) type Connect = Box<dyn Fn(&Arc<Machine>) -> Arc<dyn LockStore> + Send + Sync>;

impl SimStore for OtherClient {
    fn name(&self) -> &str {
        self.real.name()
    }

    fn servers(&self) -> Vec<String> {
        self.real.servers()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    fn found(&self, world: &mut World, verbose: bool) -> Arc<dyn Service> {
        Arc::new((self.found)(world, verbose))
    }
}

impl Service for Found {
    fn connect(&self, machine: &Arc<Machine>) -> Arc<dyn LockStore> {
        (self.connect)(machine)
    }

    fn apply(&self, fault: &FaultKind, phase: Phase) {
        self.service.apply(fault, phase);
    }

    fn dies_with(&self, fault: &FaultKind) -> Option<String> {
        self.service.dies_with(fault)
    }

    fn comes_back_after(&self, fault: &FaultKind) -> Option<String> {
        self.service.comes_back_after(fault)
    }

    fn stepped(&self) {
        self.service.stepped();
    }
}
