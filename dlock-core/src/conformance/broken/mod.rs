//! Stores that are broken on purpose: the memory store behind one mistake each. They show that the
//! cases can fail, and give checkers something to catch.
//!
//! A flaw lives in the file of what it breaks; [`notes`] is what a broken store knows beyond what
//! the memory store tells.

mod attempt;
mod flaw;
mod look;
mod names;
mod notes;
mod place;
mod queue;
mod release;
mod renew;
mod tokens;
mod watch;

pub use flaw::Flaw;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::factory::{Connected, StoreFactory};
use crate::runtime::Runtime;
use crate::store::{
    Attempt, AttemptRequest, Capabilities, Fairness, Inspection, LockEvent, LockStore, Release,
    Released, Renewal, Renewed, StoreError, TtlSupport, Watch,
};
use crate::{LockName, MemoryStore};

use notes::Notes;

/// One client of a memory store with a [`Flaw`]. It is its own [`StoreFactory`].
pub struct BrokenStore {
    core: Arc<Core>,
    client: u64,
    closed: AtomicBool,
}

struct Core {
    flaw: Flaw,
    runtime: Arc<dyn Runtime>,
    inner: MemoryStore,
    notes: Mutex<Notes>,
    clients: AtomicU64,
    /// Of all names, for [`Flaw::WatchSeesAllNames`].
    events: broadcast::Sender<LockEvent>,
}

impl BrokenStore {
    /// An empty store with this flaw.
    pub fn new(flaw: Flaw, runtime: Arc<dyn Runtime>) -> Self {
        let core = Core {
            flaw,
            inner: MemoryStore::with_runtime(runtime.clone()),
            runtime,
            notes: Mutex::default(),
            clients: AtomicU64::new(0),
            events: broadcast::channel(64).0,
        };
        Self {
            core: Arc::new(core),
            client: 0,
            closed: AtomicBool::new(false),
        }
    }

    /// What is wrong with it.
    pub fn flaw(&self) -> Flaw {
        self.core.flaw
    }

    /// Another client of the same store.
    #[must_use]
    pub fn another_client(&self) -> Self {
        let client = self.core.clients.fetch_add(1, Ordering::AcqRel) + 1;
        Self {
            core: self.core.clone(),
            client,
            closed: AtomicBool::new(false),
        }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.core.flaw == flaw
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            Err(StoreError::unavailable("the store is closed"))
        } else {
            Ok(())
        }
    }
}

impl Core {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LockStore for BrokenStore {
    fn capabilities(&self) -> Capabilities {
        let right = self.core.inner.capabilities();
        match self.core.flaw {
            Flaw::CapabilitiesChange => {
                right.with_renewal_batch(1 + self.core.runtime.random() as usize % 1000)
            }
            Flaw::FairnessOverclaimed => right.with_fairness(Fairness::ByParticipant),
            Flaw::TtlUnlimited => right.clone().with_ttl(TtlSupport {
                max: Duration::MAX,
                ..right.ttl
            }),
            _ => right,
        }
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        self.check_open()?;
        let request = AttemptRequest {
            name: self.name(&request.name)?,
            ..request.clone()
        };
        self.settle(&request.name).await?;
        match self.try_attempt(&request).await? {
            Attempt::Granted(granted) => Ok(Attempt::Granted(self.granted(&request, granted))),
            Attempt::Busy { held_by, place } => {
                let place = place.map(|place| self.place(&request, place));
                Ok(Attempt::Busy {
                    held_by: self.held_by(held_by),
                    place,
                })
            }
        }
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        self.renew_all(batch).await
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        self.check_open()?;
        let name = self.name(name)?;
        self.settle(&name).await?;
        let released = self
            .try_release(&name, &self.inward(&name, release))
            .await?;
        if released.removed {
            self.core.notes().released(&name);
            let _ = self.core.events.send(LockEvent::Unlocked);
        }
        Ok(released)
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        self.check_open()?;
        let name = self.name(name)?;
        self.settle(&name).await?;
        let seen = self.core.inner.inspect(&name).await?;
        Ok(self.seen(&name, seen))
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        self.check_open()?;
        let name = self.name(name)?;
        self.settle(&name).await?;
        self.take_away(&name).await
    }

    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        self.check_open()?;
        self.watch_name(&self.name(name)?).await
    }

    async fn close(&self) {
        self.closed
            .store(self.is(Flaw::DeadAfterClose), Ordering::Release);
    }
}

#[async_trait]
impl StoreFactory for BrokenStore {
    async fn connect(&self) -> Connected {
        Ok(Arc::new(self.another_client()))
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        self.core.runtime.clone()
    }
}

impl fmt::Debug for BrokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokenStore")
            .field("flaw", &self.core.flaw)
            .field("client", &self.client)
            .finish()
    }
}
