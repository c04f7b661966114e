//! The log: what is proposed, committed and applied.

use tokio::sync::oneshot;

use super::Core;
use super::leases::seconds;
use crate::etcd::cluster::member::Position;
use crate::etcd::cluster::truth::Cause;
use crate::etcd::engine::{Applied, EtcdError, Proposal};

/// Where a request of a member goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::etcd::cluster) enum Route {
    /// To a leader that has a quorum.
    Leader { leader: usize, term: u64 },
    /// The member knows of no leader: it waits for one.
    Leaderless,
    /// To a leader that does not get it, or can do nothing with it.
    Nowhere,
}

/// What a proposal led to, and where in the log.
pub(in crate::etcd::cluster) type Answer = (Result<Applied, EtcdError>, u64);

#[derive(Debug)]
pub(super) struct Pending {
    proposal: Proposal,
    leader: usize,
    term: u64,
    cause: Cause,
    answer: Option<oneshot::Sender<Answer>>,
}

impl Core {
    pub fn route(&self, at: usize) -> Route {
        let member = &self.members[at];
        if member.stalled {
            return Route::Nowhere;
        }
        let Some(leader) = member.knows else {
            return Route::Leaderless;
        };
        if self.able_leader() == Some(leader) && self.connected(at, leader) {
            let term = self.term;
            Route::Leader { leader, term }
        } else {
            Route::Nowhere
        }
    }

    /// Sends a proposal to a leader; when it is committed, and the answer. If that is lost, it is not.
    pub fn propose(
        &mut self,
        proposal: Proposal,
        (leader, term): (usize, u64),
        cause: Cause,
    ) -> (u64, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let due = self.now + self.commit_delay + self.members[leader].slow;
        self.push(due, proposal, (leader, term), cause, Some(answer));
        (due, answered)
    }

    pub(super) fn push(
        &mut self,
        due: u64,
        proposal: Proposal,
        (leader, term): (usize, u64),
        cause: Cause,
        answer: Option<oneshot::Sender<Answer>>,
    ) {
        self.proposed += 1;
        let pending = Pending {
            proposal,
            leader,
            term,
            cause,
            answer,
        };
        self.proposals.insert((due, self.proposed), pending);
    }

    pub(super) fn commit_or_lose(&mut self, pending: Pending) {
        let leads = pending.term == self.term && self.able_leader() == Some(pending.leader);
        if leads {
            let result = self.commit(&pending.proposal, &pending.cause);
            if let Some(answer) = pending.answer {
                let _ = answer.send((result, self.index));
            }
        } else if let (Proposal::LeaseRevoke(id), Cause::Expiry) =
            (&pending.proposal, &pending.cause)
        {
            // Its leader tries again, if it still believes that it leads.
            if let Some(primary) = &mut self.members[pending.leader].primary {
                primary.not_revoked(*id);
            }
        }
    }

    /// Commits now: a leader's, or an operator's with whom no leader argues.
    pub fn commit(&mut self, proposal: &Proposal, cause: &Cause) -> Result<Applied, EtcdError> {
        let (now, before) = (self.now, self.engine.revision());
        let result = self.engine.apply(proposal);
        self.index += 1;
        match (proposal, &result) {
            (Proposal::LeaseGrant(_), Ok(Applied::LeaseGrant(granted))) => {
                if let Some(leader) = self.leader {
                    let member = &mut self.members[leader];
                    let at_local = member.clock.local(now) + seconds(granted.ttl);
                    if let Some(primary) = &mut member.primary {
                        primary.set(granted.id, at_local);
                    }
                }
                self.refresh_end(granted.id);
            }
            (Proposal::LeaseRevoke(id), Ok(_)) => {
                for member in &mut self.members {
                    // Who is stuck does not hear of it.
                    if let Some(primary) = member.primary.as_mut().filter(|_| !member.stalled) {
                        primary.remove(*id);
                    }
                }
                self.ends.remove(id);
            }
            _ => {}
        }
        let commits = self.engine.since(before).iter();
        let events = commits.flat_map(|commit| &commit.events);
        let keys = events.filter_map(|event| Some(event.kv.as_ref()?.key.as_slice()));
        self.truth
            .changed(now, &self.engine, &self.ends, keys, cause);
        self.replicate();
        result
    }

    pub fn newest_index(&self) -> u64 {
        self.index
    }

    pub(super) fn newest(&self) -> Position {
        Position {
            index: self.index,
            revision: self.engine.revision(),
        }
    }

    pub(super) fn replicate(&mut self) {
        let (now, newest, leader) = (self.now, self.newest(), self.able_leader());
        for at in 0..self.members.len() {
            let reached = leader.is_some_and(|leader| self.connected(at, leader));
            let member = &mut self.members[at];
            if leader == Some(at) {
                member.applied = newest;
                self.touched.insert(at);
            } else if reached && member.is_well() && !member.behind {
                member.coming.push_back((now + member.lag, newest));
            } else {
                member.behind = true;
            }
        }
    }
}
