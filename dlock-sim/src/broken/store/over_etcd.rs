//! The real `dlock-etcd` with another idea of when its leases end.

use std::sync::Arc;

use async_trait::async_trait;
use dlock_core::LockName;
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Expiry, Granted, Inspection, LockStore, Release,
    Released, Renewal, Renewed, StoreError, Watch,
};

use super::{Found, OtherClient};
use crate::SimEtcd;
use crate::service::{Service, SimStore};
use crate::world::{Machine, World};

/// etcd with clients that count a grant's TTL from the transaction that took the lock, though its lease is older.
pub(crate) fn deadline_from_txn() -> OtherClient {
    let real = SimEtcd::cluster();
    OtherClient {
        capabilities: real.capabilities(),
        real: Arc::new(real.clone()),
        found: Box::new(move |world: &mut World, verbose| {
            let members = Arc::new(real.found_members(world, verbose));
            Found {
                service: members.clone() as Arc<dyn Service>,
                connect: Box::new(move |machine: &Arc<Machine>| {
                    Arc::new(FromTxn(members.connect(machine)))
                }),
            }
        }),
    }
}

struct FromTxn(Arc<dyn LockStore>);

#[async_trait]
impl LockStore for FromTxn {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        Ok(match self.0.attempt(request).await? {
            Attempt::Granted(granted) => Attempt::Granted(Granted {
                expiry: Expiry::ByThisCall,
                ..granted
            }),
            answer => answer,
        })
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        self.0.renew(batch).await
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        self.0.release(name, release).await
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        self.0.inspect(name).await
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        self.0.force_release(name).await
    }

    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        self.0.watch(name).await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
