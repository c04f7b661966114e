use std::fmt;
use std::sync::Arc;

use dlock_core::Lease;
use etcd_client::{Client, Compare, CompareOp, GetOptions};

use crate::Error;
use crate::builder::EtcdStoreBuilder;
use crate::error::NotHeld;
use crate::failure::{Failure, Meaning};
use crate::inner::Inner;

/// Locks in etcd (3.4 or newer). Cheap to clone; clones share connections, leases and watches.
///
/// One member is asked at a time; after a failure, the next. An answer that does not come is an
/// [`Indeterminate`](dlock_core::store::StoreError::Indeterminate) error within the response timeout,
/// never a hang.
///
/// When the last clone is dropped, what it holds is left to end with its leases.
#[derive(Clone)]
pub struct EtcdStore {
    pub(crate) inner: Arc<Inner>,
}

impl EtcdStore {
    /// Connects to a cluster by its members' endpoints (`http://host:port`), with all settings at their
    /// defaults.
    ///
    /// Fails at once when an endpoint is wrong, no member serves, or the credentials are refused.
    /// Cancel-safe.
    pub async fn connect<E: Into<String>>(
        endpoints: impl IntoIterator<Item = E>,
    ) -> Result<Self, Error> {
        Self::builder().endpoints(endpoints).connect().await
    }

    /// All the settings.
    pub fn builder() -> EtcdStoreBuilder {
        EtcdStoreBuilder::new()
    }

    /// A store on a client of one's own, with all settings at their defaults; with others:
    /// [`EtcdStoreBuilder::client`]. No I/O: whether the client works shows at its first use.
    pub fn from_client(client: Client) -> Result<Self, Error> {
        Self::builder().client(client).lazy()
    }

    /// "Only if this lock is still mine", to be spliced into a transaction of one's own on the same
    /// etcd. It fails from the moment at which the lock is released, lost or taken away.
    ///
    /// ```no_run
    /// # async fn example(store: dlock_etcd::EtcdStore, guard: dlock_core::Guard, mut client: dlock_etcd::etcd_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use dlock_etcd::etcd_client::{Txn, TxnOp};
    ///
    /// let txn = Txn::new()
    ///     .when([store.still_held(&guard)?])
    ///     .and_then([TxnOp::put("invoice/42/total", "118.00", None)]);
    /// if !client.txn(txn).await?.succeeded() {
    ///     // Somebody else may hold the lock: nothing was written.
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// No I/O: `Ok` does not say that the lock is held, only the transaction does. Fails when this store knows
    /// that it has no such lock (any more). The transaction must go to the same
    /// etcd; etcd decides both in one step, so there is nothing to claim before the first read.
    pub fn still_held(&self, lease: &Lease) -> Result<Compare, NotHeld> {
        let keys = self.inner.keys(lease.name());
        let held = self
            .inner
            .table
            .find(lease.grant().id, &keys)
            .and_then(|candidate| candidate.held(lease.token()))
            .ok_or_else(|| NotHeld {
                name: lease.name().clone(),
            })?;
        Ok(Compare::create_revision(
            held.key,
            CompareOp::Equal,
            held.created,
        ))
    }

    /// How many warm leases wait for the next attempt: at most 128, and none 40 s after the last use.
    pub fn idle_leases(&self) -> usize {
        self.inner.pool.idle()
    }

    /// A read under the prefix, so that a wrong address, user or right shows now.
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        self.inner.runtime().ready()?;
        let key = format!("{}dlock", self.inner.prefix);
        let members = &self.inner.members;
        for tries_left in (0..members.how_many()).rev() {
            let answer = members.call(|client| {
                let options = GetOptions::new().with_count_only();
                let (mut kv, key) = (client.kv_client(), key.clone());
                async move { kv.get(key, Some(options)).await }
            });
            match answer.await {
                Ok(_) => return Ok(()),
                // A read may be sent again, wherever it was lost.
                Err(failure) if failure.is_of_the_member() && tries_left > 0 => {
                    tracing::debug!(%failure, "connecting to the next member");
                }
                Err(failure) => return Err(not_connected(failure)),
            }
        }
        Ok(())
    }
}

fn not_connected(failure: Failure) -> Error {
    let (meaning, message, source) = failure.into_parts();
    let source = source.map(Into::into);
    match meaning {
        Meaning::Rejected | Meaning::TokenForgotten => Error::Rejected { message, source },
        _ => Error::Unavailable { message, source },
    }
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdStore")
            .field("members", &self.inner.members)
            .field("prefix", &self.inner.prefix)
            .finish_non_exhaustive()
    }
}
