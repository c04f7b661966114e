//! One client's requests to one member: what waits for what.

mod leases;
mod proposals;
mod reads;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dlock_core::runtime::{Race, Runtime, race};
use etcd_client::proto::PbResponseHeader;

use super::core::Core;
use super::{Commit, EtcdCluster};
use crate::etcd::engine::Engine;

/// What differs between members in headers: real etcd's numbers look like these.
const CLUSTER_ID: u64 = 0xcdf8_1819_4e3a_8c32;
const FIRST_MEMBER_ID: u64 = 0x8e9e_05c5_2164_694d;

/// One client's way into the cluster: through one member.
#[derive(Clone)]
pub(in crate::etcd) struct Requests {
    pub cluster: EtcdCluster,
    pub member: usize,
    pub peer: Arc<str>,
    pub runtime: Arc<dyn Runtime>,
}

impl Requests {
    pub fn new(cluster: EtcdCluster, member: usize, peer: &str, runtime: Arc<dyn Runtime>) -> Self {
        Self {
            cluster,
            member,
            peer: peer.into(),
            runtime,
        }
    }

    // ---- headers

    /// Completes a header as the member does that answers.
    pub fn header(&self, header: &mut Option<PbResponseHeader>) {
        let (term, revision) =
            self.with(|core| (core.term, core.members[self.member].applied.revision));
        let header = header.get_or_insert_default();
        header.cluster_id = CLUSTER_ID;
        header.member_id = member_id(self.member);
        header.raft_term = term;
        if header.revision == 0 {
            header.revision = revision;
        }
    }

    // ---- leaders

    /// The number of the leader that the member knows; 0 for none.
    pub fn leader_id(&self) -> u64 {
        let leader = self.with(|core| core.members[self.member].knows);
        leader.map_or(0, member_id)
    }

    /// Whether the member knows a leader.
    pub fn has_leader(&self) -> bool {
        self.with(|core| core.members[self.member].knows.is_some())
    }

    /// Ends when the member has known no leader for so long that it ends streams that want one.
    pub async fn leader_lost(&self) {
        loop {
            let mut changed = pin!(self.changed());
            changed.as_mut().enable();
            let ends_at = self.with(|core| core.streams_end_at(&core.members[self.member]));
            match ends_at {
                Some(at) if self.now() >= at => return,
                Some(at) => {
                    race(changed, self.until(at)).await;
                }
                None => changed.await,
            }
        }
    }

    // ---- watching

    /// What this member has applied after a revision, and which it has applied.
    pub fn since<T>(&self, revision: i64, read: impl FnOnce(&Engine, &[Commit], i64) -> T) -> T {
        self.with(|core| {
            let applied = core.members[self.member].applied.revision;
            let all = core.engine.since(revision);
            let seen = all.partition_point(|commit| commit.revision <= applied);
            read(&core.engine, &all[..seen], applied)
        })
    }

    /// Ends when something may have changed for this member: at the latest when it applies what it has got.
    /// What changes between the two calls is not missed.
    pub fn next_change(&self) -> impl Future<Output = ()> + Send + use<'_> {
        let mut changed = Box::pin(self.changed());
        changed.as_mut().enable();
        let next = self.with(|core| {
            let coming = core.members[self.member].coming.front();
            coming.map(|(due, _)| *due)
        });
        async move {
            match next {
                Some(at) => {
                    race(changed, self.until(at)).await;
                }
                None => changed.await,
            }
        }
    }

    // ---- time

    pub fn now(&self) -> u64 {
        self.cluster.now_ns()
    }

    /// Sleeps to a true time.
    pub async fn until(&self, at: u64) {
        loop {
            let left = at.saturating_sub(self.now());
            if left == 0 {
                return;
            }
            self.runtime.sleep(Duration::from_nanos(left)).await;
        }
    }

    async fn be_slow(&self) {
        let slow = self.with(|core| core.members[self.member].slow);
        if slow > 0 {
            self.until(self.now() + slow).await;
        }
    }

    fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.cluster.shared.changed[self.member].notified()
    }

    fn with<T>(&self, look: impl FnOnce(&mut Core) -> T) -> T {
        self.cluster.with(look)
    }
}

/// The number that a member has in headers and lists.
pub(in crate::etcd) fn member_id(member: usize) -> u64 {
    FIRST_MEMBER_ID + member as u64
}

/// Runs a future unless another one ends first.
pub(in crate::etcd) async fn unless<T>(
    ends: impl Future<Output = ()>,
    future: impl Future<Output = T>,
) -> Option<T> {
    match race(future, ends).await {
        Race::First(output) => Some(output),
        Race::Second(()) => None,
    }
}
