//! The members of an etcd, who of them leads, and what each of them can see and do.

mod clock;
mod core;
mod expiries;
mod member;
mod process;
mod requests;
mod truth;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlock_core::runtime::{Runtime, Task, race};
use etcd_client::proto::{PbCompactionRequest, PbDeleteRequest};
use tokio::sync::Notify;

use self::core::Core;
use super::engine::{Commit, Engine, Proposal};
use crate::trace::{Kind, Recorder};
use truth::Cause;

pub(super) use requests::{Requests, member_id, unless};

/// What kind of cluster.
#[derive(Clone, Debug)]
pub struct EtcdOptions {
    /// The members' node names. Default `etcd-0` to `etcd-2`.
    pub members: Vec<String>,
    /// From a proposal to its commit. Default 1 ms.
    pub commit_delay: Duration,
    /// What a linearizable read takes to ask the quorum. Default 500 µs.
    pub read_delay: Duration,
    /// How long after the leader a follower applies. Default 1 ms.
    pub apply_lag: Duration,
    /// How long a cluster goes without a leader before it has another. Default 1 s, etcd's own.
    pub election_timeout: Duration,
    /// How long a member waits for a quorum before it gives up. Default 7 s, etcd's own.
    pub request_timeout: Duration,
    /// What stands before a lock's name in its keys. Default `lock/`.
    pub lock_prefix: String,
    /// Whether every request is written to the trace. Default no.
    pub verbose: bool,
}

impl Default for EtcdOptions {
    fn default() -> Self {
        Self {
            members: (0..3).map(|at| format!("etcd-{at}")).collect(),
            commit_delay: Duration::from_millis(1),
            read_delay: Duration::from_micros(500),
            apply_lag: Duration::from_millis(1),
            election_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(7),
            lock_prefix: "lock/".to_owned(),
            verbose: false,
        }
    }
}

/// A simulated etcd. Cheap to clone; all clones are the same cluster. Members are numbered from 0, which
/// leads at first.
///
/// Nothing happens by itself: [`tick`](Self::tick) lets time pass, and every request does so too.
#[derive(Clone)]
pub struct EtcdCluster {
    shared: Arc<Shared>,
}

struct Shared {
    core: Mutex<Core>,
    /// For each member: something has changed.
    changed: Vec<Notify>,
    /// Somebody has to look when the next event is.
    rescheduled: Notify,
    options: EtcdOptions,
    recorder: Recorder,
}

/// What an etcd was at some time, leases included.
#[derive(Clone, Debug)]
pub struct Snapshot {
    engine: Engine,
}

impl EtcdCluster {
    /// A new, empty etcd with a leader. The truth about locks goes to the recorder, whose clock it lives by.
    pub fn new(options: EtcdOptions, recorder: Recorder) -> Self {
        let core = Core::new(&options, recorder.clone());
        Self {
            shared: Arc::new(Shared {
                core: Mutex::new(core),
                changed: options.members.iter().map(|_| Notify::new()).collect(),
                rescheduled: Notify::new(),
                options,
                recorder,
            }),
        }
    }

    /// Lets everything happen that is due now.
    pub fn tick(&self) {
        self.with(|_| ());
    }

    /// The true time at which something happens by itself next, in ns.
    pub fn next_event(&self) -> Option<u64> {
        self.with(|core| core.next_event())
    }

    /// Ticks whenever there is something to do, for ever.
    pub async fn drive(&self, runtime: Arc<dyn Runtime>) {
        loop {
            let mut rescheduled = std::pin::pin!(self.shared.rescheduled.notified());
            rescheduled.as_mut().enable();
            match self.next_event() {
                Some(next) => {
                    let left = next.saturating_sub(self.now_ns()).max(1);
                    race(rescheduled, runtime.sleep(Duration::from_nanos(left))).await;
                }
                None => rescheduled.await,
            }
        }
    }

    // ---- what the world may do to it, between its ticks

    /// Cuts a member off from the others, or joins it to those that are not cut off.
    pub fn isolate(&self, member: usize, isolated: bool) {
        self.with(|core| {
            let mut groups: Vec<_> = core.members.iter().map(|one| one.group).collect();
            groups[member] = if isolated { member + 1 } else { 0 };
            core.regroup(&groups);
        });
    }

    /// Only members of the same group reach each other; who is in none reaches nobody.
    pub fn partition(&self, groups: &[&[usize]]) {
        self.with(|core| {
            let count = core.members.len();
            let group_of = |at: usize| groups.iter().position(|group| group.contains(&at));
            let alone = |at: usize| groups.len() + count + at;
            let all: Vec<_> = (0..count)
                .map(|at| group_of(at).unwrap_or_else(|| alone(at)) + count)
                .collect();
            core.regroup(&all);
        });
    }

    /// All members reach each other.
    pub fn heal(&self) {
        self.with(|core| core.regroup(&vec![0; core.members.len()]));
    }

    /// The leader steps down. After an election timeout there is another: `to`, if it is able.
    pub fn change_leader(&self, to: usize) {
        self.with(|core| core.depose(Some(to)));
    }

    /// The leader hands over to a member at once, as `etcdctl move-leader` does.
    pub fn move_leader(&self, to: usize) {
        self.with(|core| core.hand_over(to));
    }

    /// Kills a member. Its connections end; its disk stays.
    pub fn crash(&self, member: usize) {
        self.with(|core| core.kill(member));
    }

    /// Starts a member that was killed.
    pub fn restart(&self, member: usize) {
        self.with(|core| core.restart(member));
    }

    /// Stops a member's process (SIGSTOP): it takes bytes and does nothing. Or lets it go on.
    pub fn freeze(&self, member: usize, frozen: bool) {
        self.with(|core| core.freeze(member, frozen));
    }

    /// A member's disk does not finish an fsync, or does again. Its log stands still, and all else goes on: a
    /// leader still answers keepalives (etcd issue 15247).
    pub fn stall_disk(&self, member: usize, stalled: bool) {
        self.with(|core| core.stall(member, stalled));
    }

    /// How much longer a member takes for each request.
    pub fn slow(&self, member: usize, by: Duration) {
        self.with(|core| core.members[member].slow = nanos(by));
    }

    /// How long after the leader a member applies.
    pub fn lag(&self, member: usize, lag: Duration) {
        self.with(|core| core.members[member].lag = nanos(lag));
    }

    /// A member's monotonic clock, by which it ends leases when it leads, runs at `1 + rate_ppb / 1e9`.
    pub fn set_clock_rate(&self, member: usize, rate_ppb: i64) {
        self.with(|core| core.set_clock_rate(member, rate_ppb));
    }

    /// `etcdctl lease revoke`. Whether it was there.
    pub fn revoke_lease(&self, id: i64) -> bool {
        self.operate(&Proposal::LeaseRevoke(id))
    }

    /// `etcdctl del`.
    pub fn delete_key(&self, key: impl Into<Vec<u8>>) -> bool {
        self.operate(&Proposal::DeleteRange(PbDeleteRequest {
            key: key.into(),
            ..PbDeleteRequest::default()
        }))
    }

    /// `etcdctl compact`.
    pub fn compact(&self, revision: i64) -> bool {
        self.operate(&Proposal::Compact(PbCompactionRequest {
            revision,
            physical: true,
        }))
    }

    fn operate(&self, proposal: &Proposal) -> bool {
        self.with(|core| core.commit(proposal, &Cause::Operator).is_ok())
    }

    /// `etcdctl snapshot save`.
    pub fn take_snapshot(&self) -> Snapshot {
        self.with(|core| Snapshot {
            engine: core.engine.clone(),
        })
    }

    /// Stops all members, and starts them on a snapshot. `bump_revision`: they count on from a revision far
    /// above (`--bump-revision`, `--mark-compacted`); else revisions go back.
    pub fn restore(&self, snapshot: &Snapshot, bump_revision: bool) {
        const BUMP: i64 = 1_000_000_000;
        let mut engine = snapshot.engine.clone();
        if bump_revision {
            engine.bump_revision(BUMP);
        }
        self.with(|core| core.restore(engine));
    }

    // ---- what can be seen from outside

    /// The member that leads a quorum.
    pub fn leader(&self) -> Option<usize> {
        self.with(|core| core.leader())
    }

    /// Whether a member's process lives; it may be frozen.
    pub fn is_running(&self, member: usize) -> bool {
        self.with(|core| core.members[member].process.is_running())
    }

    /// The newest committed revision.
    pub fn revision(&self) -> i64 {
        self.with(|core| core.engine.revision())
    }

    /// The numbers of all leases.
    pub fn leases(&self) -> Vec<i64> {
        self.with(|core| core.engine.leases().map(|(id, _)| id).collect())
    }

    /// The committed keys that begin with a prefix, in their order.
    pub fn keys(&self, prefix: &[u8]) -> Vec<Vec<u8>> {
        self.with(|core| {
            let all = core.engine.with_prefix(prefix);
            all.into_iter().map(|kv| kv.key.clone()).collect()
        })
    }

    /// The key with this prefix that was created first.
    pub fn oldest_key(&self, prefix: &[u8]) -> Option<Vec<u8>> {
        self.with(|core| {
            let all = core.engine.with_prefix(prefix);
            let oldest = all.into_iter().min_by_key(|kv| kv.create_revision);
            oldest.map(|kv| kv.key.clone())
        })
    }

    /// The members' names.
    pub fn members(&self) -> &[String] {
        &self.shared.options.members
    }

    // ---- for the services

    /// A task of a member: it stands still and ends with its process.
    pub(super) fn task_of(
        &self,
        member: usize,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Task {
        let process = self.core().members[member].process.clone();
        process.task(future)
    }

    pub(super) fn note(&self, member: usize, peer: &str, what: impl FnOnce() -> String) {
        if self.shared.options.verbose {
            let kind = Kind::Server {
                what: what(),
                peer: Some(peer.to_owned()),
            };
            let node = &self.shared.options.members[member];
            self.shared.recorder.record(node, kind);
        }
    }

    fn now_ns(&self) -> u64 {
        self.shared.recorder.now_ns()
    }

    /// Looks at or changes the state of now, and tells those who wait for a change.
    fn with<T>(&self, look: impl FnOnce(&mut Core) -> T) -> T {
        let now = self.now_ns();
        let mut core = self.core();
        let before = core.next_event();
        let is_due = |next: Option<u64>| next.is_some_and(|next| next <= now);
        if is_due(before) {
            core.tick(now);
        }
        core.now = core.now.max(now);
        let seen = look(&mut core);
        let mut next = core.next_event();
        if is_due(next) {
            // What takes no time happens at once.
            core.tick(now);
            next = core.next_event();
        }
        let touched = core.take_touched();
        let rescheduled = next != before;
        drop(core);
        for member in touched {
            self.shared.changed[member].notify_waiters();
        }
        if rescheduled {
            self.shared.rescheduled.notify_waiters();
        }
        seen
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.shared
            .core
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EtcdCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdCluster")
            .field("members", &self.shared.options.members)
            .finish_non_exhaustive()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
