use std::pin::pin;

use dlock_core::runtime::race;
use etcd_client::proto::PbLeaseTimeToLiveResponse;

use super::Requests;
use crate::etcd::cluster::core::{Core, Renewal};
use crate::etcd::cluster::nanos;
use crate::etcd::engine::EtcdError;

impl Requests {
    /// Keeps a lease alive. 0: there is none. `Err`: nobody could say for too long.
    pub async fn renew(&self, id: i64) -> Result<i64, EtcdError> {
        let give_up_at = self.now() + nanos(self.cluster.shared.options.request_timeout);
        self.be_slow().await;
        loop {
            let mut changed = pin!(self.changed());
            changed.as_mut().enable();
            let (renewal, next) =
                self.with(|core| (core.renew(self.member, id, &self.peer), core.next_event()));
            match renewal {
                Renewal::Alive(ttl) => return Ok(ttl),
                Renewal::Gone => return Ok(0),
                Renewal::Unknown if self.now() >= give_up_at => return Err(EtcdError::Timeout),
                Renewal::Unknown => {
                    let next = next.unwrap_or(give_up_at).min(give_up_at);
                    race(changed, self.until(next)).await;
                }
            }
        }
    }

    /// How much of a lease is left.
    pub async fn time_to_live(
        &self,
        id: i64,
        keys: bool,
    ) -> Result<PbLeaseTimeToLiveResponse, EtcdError> {
        let give_up_at = self.now() + nanos(self.cluster.shared.options.request_timeout);
        self.be_slow().await;
        loop {
            let mut changed = pin!(self.changed());
            changed.as_mut().enable();
            let seen = self.with(|core| {
                let left = core.time_left(self.member, id)?;
                let mut response = PbLeaseTimeToLiveResponse {
                    id,
                    ttl: -1,
                    ..PbLeaseTimeToLiveResponse::default()
                };
                if let (Some(left), Some(lease)) = (left, core.engine.lease(id)) {
                    response.ttl = (left / 1_000_000_000) as i64;
                    response.granted_ttl = lease.ttl;
                    if keys {
                        response.keys = lease.keys.iter().cloned().collect();
                    }
                }
                Ok::<_, ()>(response)
            });
            match seen {
                Ok(response) => return Ok(response),
                Err(()) if self.now() >= give_up_at => return Err(EtcdError::Timeout),
                Err(()) => race(changed, self.until(give_up_at)).await,
            };
        }
    }

    /// The numbers of all leases.
    pub fn leases(&self) -> Vec<i64> {
        self.with(|core| core.engine.leases().map(|(id, _)| id).collect())
    }

    pub fn new_lease_id(&self) -> i64 {
        self.with(Core::new_lease_id)
    }
}
