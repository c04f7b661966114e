use std::pin::pin;

use dlock_core::runtime::race;
use tokio::sync::oneshot::error::TryRecvError;

use super::Requests;
use crate::etcd::cluster::core::Route;
use crate::etcd::cluster::nanos;
use crate::etcd::cluster::truth::Cause;
use crate::etcd::engine::{Applied, EtcdError, Proposal};

impl Requests {
    /// Proposes, and waits until this member has applied it.
    pub async fn propose(&self, proposal: Proposal) -> Result<Applied, EtcdError> {
        proposal.check()?;
        let began = self.now();
        let give_up_at = began + nanos(self.cluster.shared.options.request_timeout);
        self.be_slow().await;
        let mut sent = None;
        let lost = loop {
            let mut changed = pin!(self.changed());
            changed.as_mut().enable();
            if sent.is_none() {
                sent = self.with(|core| match core.route(self.member) {
                    Route::Leader { leader, term } => {
                        let cause = Cause::Client(self.peer.to_string());
                        let sent = core.propose(proposal.clone(), (leader, term), cause);
                        Some(Some(sent))
                    }
                    Route::Nowhere => Some(None),
                    Route::Leaderless => None,
                });
            }
            let wake_at = match &mut sent {
                None => give_up_at,
                Some(None) => break true,
                Some(Some((due, answered))) => {
                    self.cluster.tick();
                    match answered.try_recv() {
                        Ok((result, index)) => {
                            self.wait_until_applied(index, give_up_at).await?;
                            return result;
                        }
                        Err(TryRecvError::Empty) => (*due).min(give_up_at),
                        Err(TryRecvError::Closed) => break true,
                    }
                }
            };
            if self.now() >= give_up_at {
                break false;
            }
            race(changed, self.until(wake_at)).await;
        };
        if lost {
            // Nobody tells a member that what it sent has been dropped.
            self.until(give_up_at).await;
        }
        let leads = self.with(|core| core.leader() == Some(self.member));
        Err(if lost && leads {
            EtcdError::TimeoutDueToLeaderFailure
        } else {
            EtcdError::Timeout
        })
    }

    pub(super) async fn wait_until_applied(
        &self,
        index: u64,
        give_up_at: u64,
    ) -> Result<(), EtcdError> {
        loop {
            let mut changed = pin!(self.changed());
            changed.as_mut().enable();
            let (applied, next) = self.with(|core| {
                let member = &core.members[self.member];
                let next = member.coming.front().map_or(give_up_at, |(due, _)| *due);
                (member.applied.index >= index, next.min(give_up_at))
            });
            if applied {
                return Ok(());
            }
            if self.now() >= give_up_at {
                return Err(EtcdError::Timeout);
            }
            race(changed, self.until(next)).await;
        }
    }
}
