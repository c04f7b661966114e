//! The async shell: takes the machine's decisions to the store, and the store's answers back.

mod acquire;
mod background;
mod builder;
mod guard;
mod inner;
mod lease;
mod options;
mod retry;
mod run;
mod scheduler;
mod watching;

pub use builder::LockBuilder;
pub use guard::Guard;
pub use lease::{Lease, Status};
pub use options::LockerBuilder;
pub use retry::{Interval, RetryPolicy};
pub use watching::Watching;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use inner::Inner;
use scheduler::counted_from;

use crate::error::LeaseError;
use crate::store::{
    Capabilities, Inspection, LockStore, Release, Renewal, Renewed, StoreError, Trail,
};
use crate::{Grant, Instant, LockName};

/// Acquires locks from one store. Cheap to clone; all clones share one renewal scheduler.
///
/// ```
/// use std::time::Duration;
/// use dlock_core::{Locker, MemoryStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let locker = Locker::new(MemoryStore::new());
/// let guard = locker.lock("duckDuckGoose").ttl(Duration::from_secs(60)).acquire().await?;
/// println!("ours, with token {}", guard.token());
/// guard.release().await?;
/// locker.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Locker {
    inner: Arc<Inner>,
}

/// How [`Locker::close`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// Background releases that had not ended within the budget; their locks end with their TTL.
    pub unfinished: usize,
}

impl Locker {
    /// A locker with the default settings on a store (or an `Arc<dyn LockStore>`).
    ///
    /// Does no I/O. May be called outside a tokio runtime; using it there is
    /// [`NoRuntime`](crate::runtime::NoRuntime), not a panic.
    pub fn new(store: impl LockStore) -> Self {
        let builder = LockerBuilder::new(Arc::new(store));
        Self {
            inner: Inner::new(builder),
        }
    }

    /// A locker with other settings.
    pub fn builder(store: impl LockStore) -> LockerBuilder {
        LockerBuilder::new(Arc::new(store))
    }

    /// What the store can promise.
    pub fn capabilities(&self) -> Capabilities {
        self.inner.store.capabilities()
    }

    /// Starts describing a lock; nothing happens until `acquire`, `try_acquire` or `run`.
    pub fn lock(&self, name: impl AsRef<str>) -> LockBuilder {
        LockBuilder::new(self.inner.clone(), LockName::new(name))
    }

    /// Releases a grant that was made elsewhere (dist-lock's `releaseLock`). `false`: it does not
    /// hold the lock any more. Takes at most the request timeout.
    pub async fn release(&self, name: impl AsRef<str>, grant: &Grant) -> Result<bool, LeaseError> {
        let name = self.name(name)?;
        let release = Release::Grant(*grant, Trail::default());
        let released = self
            .inner
            .ask(self.inner.store.release(&name, &release))
            .await;
        released
            .map(|released| released.removed)
            .map_err(|source| LeaseError::Store { name, source })
    }

    /// Extends a grant that was made elsewhere (dist-lock's `extendLock`). Returns how long it is
    /// ours from now on at least, or `None` when it does not hold the lock any more. Never shortens
    /// (R6). Takes at most the request timeout.
    pub async fn extend(
        &self,
        name: impl AsRef<str>,
        grant: &Grant,
        ttl: Duration,
    ) -> Result<Option<Duration>, LeaseError> {
        let name = self.name(name)?;
        let ttl = self.inner.effective_ttl(ttl)?;
        let sent_at = self.inner.runtime.now();
        match self
            .inner
            .renew_one(Renewal::new(name.clone(), *grant, ttl), Instant::FAR_FUTURE)
            .await
        {
            Ok(Renewed::Until(expiry)) => {
                let deadline = self
                    .inner
                    .options
                    .terms
                    .deadline(counted_from(expiry, sent_at), ttl);
                Ok(Some(deadline.since(self.inner.runtime.now())))
            }
            Ok(Renewed::NotOwner) => Ok(None),
            Err(source) => Err(LeaseError::Store { name, source }),
        }
    }

    /// Who holds the lock now; `None` when it is free. Takes at most the request timeout.
    pub async fn inspect(&self, name: impl AsRef<str>) -> Result<Option<Inspection>, LeaseError> {
        let name = self.name(name)?;
        let inspection = self.inner.ask(self.inner.store.inspect(&name)).await;
        inspection.map_err(|source| LeaseError::Store { name, source })
    }

    /// Takes the lock away from whoever holds it; the holder notices at its next renewal, or at
    /// once where the store can tell it. `false` when it was free. Takes at most the request timeout.
    pub async fn force_release(&self, name: impl AsRef<str>) -> Result<bool, LeaseError> {
        let name = self.name(name)?;
        let released = self.inner.ask(self.inner.store.force_release(&name)).await;
        if let Ok(true) = released {
            tracing::info!(lock = %name, "force-released");
        }
        released.map_err(|source| LeaseError::Store { name, source })
    }

    /// Events of a lock, whoever causes them (microlock's). Where the store cannot push, it is
    /// asked about every half second.
    pub async fn watch(&self, name: impl AsRef<str>) -> Result<Watching, LeaseError> {
        let name = self.name(name)?;
        match self.inner.ask(self.inner.store.watch(&name)).await {
            Ok(pushed) => Ok(Watching::new(self.inner.clone(), name, pushed)),
            Err(source) => Err(LeaseError::Store { name, source }),
        }
    }

    /// Refuses new acquisitions, ends those that wait ([`AcquireError::Closed`](crate::AcquireError::Closed)), waits for all background releases (within the close budget,
    /// default 10 s), and lets the store close its connections. Guards that are still held stay
    /// held. Call it last in `main`: a release that was spawned as `block_on` ends never runs (R13).
    pub async fn close(&self) -> Closed {
        self.inner.set_closed();
        let until = self.inner.runtime.now() + self.inner.options.close_budget;
        let unfinished = self.inner.background.finish(until).await;
        let close = async {
            self.inner.store.close().await;
            Ok(())
        };
        let _ = self.inner.ask(close).await;
        Closed { unfinished }
    }

    fn name(&self, name: impl AsRef<str>) -> Result<LockName, LeaseError> {
        self.inner.runtime.ready()?;
        Ok(LockName::new(name)?)
    }
}

impl fmt::Debug for Locker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.inner.store.capabilities().store;
        f.debug_struct("Locker")
            .field("store", &store)
            .field("options", &self.inner.options)
            .finish()
    }
}

impl Inner {
    async fn renew_one(
        &self,
        renewal: Renewal,
        give_up_at: Instant,
    ) -> Result<Renewed, StoreError> {
        self.ask_until(give_up_at, async {
            let answers = self.store.renew(std::slice::from_ref(&renewal)).await;
            answers
                .into_iter()
                .next()
                .unwrap_or_else(|| Err(StoreError::indeterminate("the store gave no answer")))
        })
        .await
    }
}
