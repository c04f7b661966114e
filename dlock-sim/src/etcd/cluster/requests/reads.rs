use std::pin::pin;

use dlock_core::runtime::race;
use etcd_client::proto::{PbRangeRequest, PbRangeResponse, PbTxnRequest, PbTxnResponse};

use super::Requests;
use crate::etcd::cluster::core::{Core, Route};
use crate::etcd::cluster::nanos;
use crate::etcd::engine::{Applied, Engine, EtcdError, Proposal};

impl Requests {
    /// Reads; linearizably if the request says so.
    pub async fn range(&self, request: PbRangeRequest) -> Result<PbRangeResponse, EtcdError> {
        self.be_slow().await;
        if !request.serializable {
            // What is wrong with the request shows first.
            if request.key.is_empty() {
                return Err(EtcdError::EmptyKey);
            }
            self.read_index().await?;
        }
        self.read(|engine, seen| engine.range(seen, &request))
    }

    /// Runs a transaction.
    pub async fn txn(&self, request: PbTxnRequest) -> Result<PbTxnResponse, EtcdError> {
        let check = |engine: &Engine, seen| engine.read_txn(seen, &request).is_some();
        if self.read(check) {
            Proposal::Txn(request.clone()).check()?;
            self.be_slow().await;
            self.read_index().await?;
            let read = self.read(|engine, seen| engine.read_txn(seen, &request));
            return read.unwrap_or(Err(EtcdError::KeyNotFound));
        }
        match self.propose(Proposal::Txn(request)).await? {
            Applied::Txn(response) => Ok(response),
            _ => Err(EtcdError::KeyNotFound),
        }
    }

    /// What this member has seen.
    pub fn read<T>(&self, read: impl FnOnce(&Engine, i64) -> T) -> T {
        self.with(|core| read(&core.engine, core.members[self.member].applied.revision))
    }

    /// Waits until this member has seen all that was committed when it began.
    async fn read_index(&self) -> Result<(), EtcdError> {
        let options = &self.cluster.shared.options;
        let give_up_at = self.now() + nanos(options.request_timeout);
        let leaders = |core: &mut Core| core.members[self.member].leaders_seen;
        let leaders_seen = self.with(leaders);
        let mut asked: Option<(Route, u64)> = None;
        let index = loop {
            let mut changed = pin!(self.changed());
            changed.as_mut().enable();
            let (route, leaders, index, slow) = self.with(|core| {
                let route = core.route(self.member);
                let slow = match route {
                    Route::Leader { leader, .. } => core.members[leader].slow,
                    _ => 0,
                };
                (route, leaders(core), core.newest_index(), slow)
            });
            let now = self.now();
            if leaders != leaders_seen {
                return Err(EtcdError::LeaderChanged);
            }
            if now >= give_up_at {
                return Err(EtcdError::Timeout);
            }
            let is_leader = matches!(route, Route::Leader { .. });
            let wake_at = match asked {
                Some((same, at)) if same == route && is_leader => {
                    if now >= at {
                        break index;
                    }
                    at
                }
                _ if is_leader => {
                    let at = now + nanos(options.read_delay) + slow;
                    asked = Some((route, at));
                    if now >= at {
                        break index;
                    }
                    at
                }
                _ => {
                    asked = None;
                    give_up_at
                }
            };
            race(changed, self.until(wake_at.min(give_up_at))).await;
        };
        self.wait_until_applied(index, give_up_at).await
    }
}
