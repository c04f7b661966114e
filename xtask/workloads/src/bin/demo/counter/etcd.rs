use dlock_core::Guard;
use dlock_etcd::EtcdStore;
use etcd_client::{Client, Compare, KvClient, Txn, TxnOp};

use super::{Counter, Refusal};
use crate::Result;

/// etcd compares and writes in one transaction, so that nothing has to be claimed before.
pub struct EtcdCounter {
    store: EtcdStore,
    client: KvClient,
    key: String,
}

impl EtcdCounter {
    pub async fn new(store: &EtcdStore, url: &str, key: &str) -> Result<Self> {
        Ok(Self {
            store: store.clone(),
            client: Client::connect([url], None).await?.kv_client(),
            key: key.to_owned(),
        })
    }
}

impl Counter for EtcdCounter {
    /// "Only if the lock is still mine."
    type Claim = Compare;

    async fn claim(&self, guard: &Guard) -> Result<(u64, Compare), Refusal> {
        let still_held = self.store.still_held(guard);
        let still_held = still_held.map_err(|error| Refusal::Stale(error.to_string()))?;
        let mut client = self.client.clone();
        let answer = client.get(self.key.as_str(), None).await;
        let answer = answer.map_err(Refusal::failed)?;
        let value = match answer.kvs().first() {
            Some(kv) => kv.value_str().map_err(Refusal::failed)?,
            None => "0",
        };
        Ok((value.parse().map_err(Refusal::failed)?, still_held))
    }

    async fn write(&self, _: &Guard, still_held: Compare, value: u64) -> Result<(), Refusal> {
        let put = TxnOp::put(self.key.as_str(), value.to_string(), None);
        let txn = Txn::new().when([still_held]).and_then([put]);
        let answer = self.client.clone().txn(txn).await;
        if answer.map_err(Refusal::failed)?.succeeded() {
            Ok(())
        } else {
            Err(Refusal::Stale(
                "the lock's key is not there any more".to_owned(),
            ))
        }
    }
}
