//! The cluster as one state, with time passed in: the log, who leads, who knows what, when leases end.

mod faults;
mod leaders;
mod leases;
mod log;

use std::collections::{BTreeMap, BTreeSet};

use super::member::{Member, Position};
use super::truth::Truth;
use super::{EtcdOptions, nanos};
use crate::etcd::engine::Engine;
use crate::trace::Recorder;

pub(super) use leases::Renewal;
pub(super) use log::Route;

use log::Pending;

/// Everything that members share, or know of each other.
///
/// # How it works
///
/// There is one committed state, [`Engine`], because what has been committed is never taken back. A proposal is
/// applied to it when it is due, if the leader that it was sent to still leads a quorum then; else it is lost. A
/// follower sees the same state up to an older revision. So no log is kept, and no copies.
#[derive(Debug)]
pub(super) struct Core {
    pub engine: Engine,
    pub members: Vec<Member>,
    pub term: u64,
    pub now: u64,
    /// Elected, and not deposed. It may be out of reach.
    leader: Option<usize>,
    preferred: Option<usize>,
    election_at: Option<u64>,
    index: u64,
    proposals: BTreeMap<(u64, u64), Pending>,
    proposed: u64,
    granted: i64,
    /// When leases end if nothing changes, in true time.
    ends: BTreeMap<i64, u64>,
    truth: Truth,
    /// Members for whom something has changed.
    touched: BTreeSet<usize>,
    commit_delay: u64,
    election_timeout: u64,
}

impl Core {
    pub fn new(options: &EtcdOptions, recorder: Recorder) -> Self {
        let engine = Engine::new();
        let now = recorder.now_ns();
        let position = Position {
            index: 0,
            revision: engine.revision(),
        };
        let lag = nanos(options.apply_lag);
        let members = options.members.iter();
        let mut core = Self {
            engine,
            members: members.map(|_| Member::new(lag, position)).collect(),
            term: 1,
            now,
            leader: None,
            preferred: None,
            election_at: None,
            index: 0,
            proposals: BTreeMap::new(),
            proposed: 0,
            granted: 0,
            ends: BTreeMap::new(),
            truth: Truth::new(&options.lock_prefix, recorder),
            touched: BTreeSet::new(),
            commit_delay: nanos(options.commit_delay),
            election_timeout: nanos(options.election_timeout),
        };
        core.elect(0);
        core.settle();
        core
    }

    /// Lets everything happen that is due by then.
    pub fn tick(&mut self, now: u64) {
        while let Some(next) = self.next_event().filter(|next| *next <= now) {
            self.now = self.now.max(next);
            self.run_due();
        }
        self.now = self.now.max(now);
    }

    /// When something happens by itself next.
    pub fn next_event(&self) -> Option<u64> {
        let proposal = self.proposals.keys().next().map(|(due, _)| *due);
        let members = self.members.iter();
        let applies = members
            .clone()
            .filter(|one| one.process.is_running())
            .filter_map(|one| one.coming.front().map(|(due, _)| *due));
        let forgets = members
            .clone()
            .filter(|one| one.is_well())
            .filter_map(|one| one.unheard_since.map(|since| since + self.election_timeout));
        let cancels = members.filter_map(|one| self.streams_end_at(one));
        let cancels = cancels.filter(|at| *at > self.now);
        let other = [proposal, self.election_at, self.next_lease_check()];
        let all = other.into_iter().flatten();
        all.chain(applies).chain(forgets).chain(cancels).min()
    }

    fn run_due(&mut self) {
        let now = self.now;
        for at in 0..self.members.len() {
            let member = &mut self.members[at];
            while let Some((due, position)) = member.coming.front().copied() {
                if due > now {
                    break;
                }
                member.coming.pop_front();
                member.applied = position;
                self.touched.insert(at);
            }
            let forgets = member
                .unheard_since
                .is_some_and(|since| now >= since + self.election_timeout);
            if forgets && member.is_well() {
                member.forget_leader(now);
                self.touched.insert(at);
                if self.leader == Some(at) {
                    self.leader = None;
                }
            }
            if self.streams_end_at(&self.members[at]) == Some(now) {
                self.touched.insert(at);
            }
        }
        if self.election_at.is_some_and(|at| now >= at) {
            self.election_at = None;
            if let Some(candidate) = self.candidate() {
                self.elect(candidate);
            }
        }
        self.settle();
        if self.next_lease_check().is_some_and(|at| now >= at) {
            self.revoke_ended_leases();
        }
        while let Some(entry) = self.proposals.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let pending = entry.remove();
            self.commit_or_lose(pending);
        }
    }

    pub fn take_touched(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.touched)
    }
}
