//! A network, or something that retries in it, that delivers one client's first attempt twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dlock_core::LockName;
use dlock_core::runtime::Runtime;
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Inspection, LockStore, Mode, Release, Released, Renewal,
    Renewed, StoreError, Watch,
};

use crate::faults::FaultKind;
use crate::service::{Phase, Service, SimStore};
use crate::world::{Machine, SimRuntime, World};

/// A store for whose client `node` the first attempt is sent once more, so much later.
pub(crate) struct Twice {
    pub store: Arc<dyn SimStore>,
    pub node: &'static str,
    pub after: Duration,
}

impl SimStore for Twice {
    fn name(&self) -> &str {
        self.store.name()
    }

    fn servers(&self) -> Vec<String> {
        self.store.servers()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn found(&self, world: &mut World, verbose: bool) -> Arc<dyn Service> {
        Arc::new(Servers {
            real: self.store.found(world, verbose),
            node: self.node,
            after: self.after,
        })
    }
}

struct Servers {
    real: Arc<dyn Service>,
    node: &'static str,
    after: Duration,
}

impl Service for Servers {
    fn connect(&self, machine: &Arc<Machine>) -> Arc<dyn LockStore> {
        let real = self.real.connect(machine);
        if machine.name() != self.node {
            return real;
        }
        Arc::new(Repeating {
            real,
            path: self.real.connect(machine),
            runtime: Arc::new(SimRuntime::of(machine)),
            after: self.after,
            is_repeated: AtomicBool::new(false),
        })
    }

    fn apply(&self, fault: &FaultKind, phase: Phase) {
        self.real.apply(fault, phase);
    }

    fn dies_with(&self, fault: &FaultKind) -> Option<String> {
        self.real.dies_with(fault)
    }

    fn comes_back_after(&self, fault: &FaultKind) -> Option<String> {
        self.real.comes_back_after(fault)
    }

    fn stepped(&self) {
        self.real.stepped();
    }
}

struct Repeating {
    real: Arc<dyn LockStore>,
    /// The way of the second copy.
    path: Arc<dyn LockStore>,
    runtime: Arc<dyn Runtime>,
    after: Duration,
    is_repeated: AtomicBool,
}

#[async_trait]
impl LockStore for Repeating {
    fn capabilities(&self) -> Capabilities {
        self.real.capabilities()
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        if !self.is_repeated.swap(true, Ordering::AcqRel) {
            let (path, runtime, after) = (self.path.clone(), self.runtime.clone(), self.after);
            let mut copy = request.clone();
            // Nobody would hear of its turn.
            copy.mode = Mode::Try;
            self.runtime.spawn(Box::pin(async move {
                runtime.sleep(after).await;
                let _ = path.attempt(&copy).await;
            }));
        }
        self.real.attempt(request).await
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        self.real.renew(batch).await
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        self.real.release(name, release).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        self.real.inspect(name).await
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        self.real.force_release(name).await
    }

    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        self.real.watch(name).await
    }

    async fn close(&self) {
        self.real.close().await;
        self.path.close().await;
    }
}
