//! The storage trait and its vocabulary. No implementation lives here.

mod attempt;
mod capabilities;
mod error;
mod release;
mod renewal;
mod watch;

pub use attempt::{
    Attempt, AttemptRequest, Expiry, Granted, HeldBy, LossSignal, Mode, Place, Trail,
};
pub use capabilities::{Capabilities, Fairness, FaultClass, Promise, Property, TtlSupport};
pub use error::StoreError;
pub use release::{Release, Released};
pub use renewal::{Renewal, Renewed};
pub use watch::{Inspection, LockEvent, Watch};

use async_trait::async_trait;

use crate::LockName;

/// A backend: where locks live.
///
/// A store answers questions and keeps no promises of its own in the background: retrying,
/// renewing, deadlines and clean-up belong to the [`Locker`](crate::Locker), and nothing happens in
/// `Drop`. Every future may be dropped at any await point; the `Locker` then asks for a
/// [`release`](LockStore::release) by attempt id.
///
/// The smallest useful store implements [`attempt`](LockStore::attempt) (never with a place to
/// wait), [`renew`](LockStore::renew), [`release`](LockStore::release),
/// [`inspect`](LockStore::inspect) and [`force_release`](LockStore::force_release); the `Locker`
/// polls it. The conformance kit (`dlock_core::conformance`) checks it.
#[async_trait]
pub trait LockStore: Send + Sync + 'static {
    /// What this store can promise. Constant for the life of the store.
    fn capabilities(&self) -> Capabilities;

    /// Asks once for the lock.
    ///
    /// Idempotent by `request.id` (R2): when the attempt holds the lock already (a retry after a
    /// lost answer), the same grant comes back with [`Expiry::ByEarlierCall`] and the lease is not
    /// lengthened. A grant that ended is never revived: a free lock gives a new token.
    ///
    /// In [`Mode::Try`] nothing is left in the store unless the lock was granted. In
    /// [`Mode::Queue`] the store may keep an entry for `request.id` in its queue and say where to
    /// wait; the `Locker` asks again, with the same id, after every wakeup.
    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError>;

    /// Renews at most [`Capabilities::renewal_batch`] leases; one answer for each, in order.
    ///
    /// Only the very grant (id *and* token) that still holds its lock is extended; its expiry never
    /// moves closer (R6).
    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>>;

    /// Ends a grant, or an attempt in whatever state it is: held or queued. Idempotent; never
    /// touches another's grant or entry (R5).
    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError>;

    /// Who holds the lock now, whichever library took it. `None` when it is free.
    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError>;

    /// Takes the lock away from whoever holds it. `false` when it was free.
    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError>;

    /// Watches a name. `None` (the default) when the store cannot push events: the `Locker` then
    /// polls [`inspect`](LockStore::inspect).
    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        let _ = name;
        Ok(None)
    }

    /// Lets go of connections and background tasks. Called by `Locker::close` after the last
    /// background release; the store may be used again afterwards (it reconnects).
    async fn close(&self) {}
}

/// A shared store is a store: `Arc<dyn LockStore>` picks a backend at run time.
#[async_trait]
impl<S: LockStore + ?Sized> LockStore for std::sync::Arc<S> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        (**self).attempt(request).await
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        (**self).renew(batch).await
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        (**self).release(name, release).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        (**self).inspect(name).await
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        (**self).force_release(name).await
    }

    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        (**self).watch(name).await
    }

    async fn close(&self) {
        (**self).close().await;
    }
}
