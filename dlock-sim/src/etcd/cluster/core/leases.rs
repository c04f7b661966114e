//! When leases end: each member that believes that it leads counts for itself.

use super::Core;
use crate::etcd::cluster::truth::Cause;
use crate::etcd::engine::Proposal;

/// How often a leader looks for leases that have ended.
const LEASE_CHECK: u64 = 500_000_000;

/// What became of a keepalive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::etcd::cluster) enum Renewal {
    /// It lasts for so many seconds from now.
    Alive(i64),
    /// There is no such lease.
    Gone,
    /// It has ended and is not revoked yet, or nobody knows: ask again when something has changed.
    Unknown,
}

impl Core {
    /// A number for a lease that got none.
    pub fn new_lease_id(&mut self) -> i64 {
        self.granted += 1;
        0x694d_71dd_0000_0000 + self.granted
    }

    /// A keepalive that reaches a member.
    pub fn renew(&mut self, at: usize, id: i64, by: &str) -> Renewal {
        let now = self.now;
        let Some(primary) = self.primary_for(at) else {
            return Renewal::Unknown;
        };
        let ttl = self.engine.lease(id).map(|lease| lease.ttl);
        let member = &mut self.members[primary];
        let local = member.clock.local(now);
        let (Some(expiries), Some(ttl)) = (&mut member.primary, ttl) else {
            return Renewal::Gone;
        };
        match expiries.get(id) {
            None => return Renewal::Gone,
            Some(at_local) if at_local <= local => return Renewal::Unknown,
            Some(_) => expiries.set(id, local + seconds(ttl)),
        }
        if self.leader == Some(primary) {
            self.refresh_end(id);
            let cause = Cause::Client(by.to_owned());
            self.truth
                .moved(now, &self.engine, &self.ends, Some(id), &cause);
        }
        Renewal::Alive(ttl)
    }

    /// How much of a lease is left, in ns. `Err`: nobody can say.
    pub fn time_left(&self, at: usize, id: i64) -> Result<Option<u64>, ()> {
        let primary = self.primary_for(at).ok_or(())?;
        let member = &self.members[primary];
        let at_local = member.primary.as_ref().and_then(|all| all.get(id));
        let left = |at_local: u64| at_local.saturating_sub(member.clock.local(self.now));
        Ok(at_local
            .filter(|_| self.engine.lease(id).is_some())
            .map(left))
    }

    /// The member that a member thinks leads, if that one thinks so as well and can be asked. No quorum is
    /// needed, and a stuck log is no obstacle.
    pub(super) fn primary_for(&self, at: usize) -> Option<usize> {
        if self.members[at].primary.is_some() {
            return Some(at);
        }
        let leader = self.members[at].knows?;
        let asked = &self.members[leader];
        let answers = asked.is_awake() && asked.primary.is_some() && self.connected(at, leader);
        answers.then_some(leader)
    }

    pub(super) fn refresh_end(&mut self, id: i64) {
        let Some(leader) = self.leader else { return };
        let member = &self.members[leader];
        if let Some(at_local) = member.primary.as_ref().and_then(|all| all.get(id)) {
            let end = member.clock.true_time(at_local);
            self.ends.insert(id, end);
        }
    }

    pub(super) fn refresh_ends(&mut self) {
        let leases: Vec<_> = self.engine.leases().map(|(id, _)| id).collect();
        for id in leases {
            self.refresh_end(id);
        }
        self.truth
            .moved(self.now, &self.engine, &self.ends, None, &Cause::Leader);
    }

    pub(super) fn next_lease_check(&self) -> Option<u64> {
        let leader = self.able_leader()?;
        let member = &self.members[leader];
        let first = member.primary.as_ref()?.first()?;
        let first = member.clock.true_time(first).max(self.now);
        Some(first.div_ceil(LEASE_CHECK) * LEASE_CHECK)
    }

    pub(super) fn revoke_ended_leases(&mut self) {
        let (now, term) = (self.now, self.term);
        let Some(leader) = self.able_leader() else {
            return;
        };
        let member = &mut self.members[leader];
        let local = member.clock.local(now);
        let ended = member
            .primary
            .as_mut()
            .map(|primary| primary.take_ended(local));
        let due = now + self.commit_delay + member.slow;
        for id in ended.unwrap_or_default() {
            let revoke = Proposal::LeaseRevoke(id);
            self.push(due, revoke, (leader, term), Cause::Expiry, None);
        }
    }
}

pub(super) fn seconds(ttl: i64) -> u64 {
    u64::try_from(ttl)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
}
