//! Who leads, and who knows it.

use std::cmp::Reverse;

use super::Core;
use super::leases::seconds;
use crate::etcd::cluster::expiries::Expiries;
use crate::etcd::cluster::member::Member;

/// How often a member without a leader looks before it ends streams that want one.
const LEADERLESS_LOOKS: u64 = 3;

impl Core {
    /// Who is in the member's reach and takes part, itself included.
    pub(super) fn well_around(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let group = self.members[at].group;
        let all = self.members.iter().enumerate();
        all.filter(move |(_, one)| one.group == group && one.is_well())
            .map(|(at, _)| at)
    }

    pub(super) fn has_quorum(&self, at: usize) -> bool {
        self.members[at].is_well() && self.well_around(at).count() > self.members.len() / 2
    }

    pub(super) fn connected(&self, a: usize, b: usize) -> bool {
        self.members[a].group == self.members[b].group
    }

    /// The leader, if it can commit.
    pub(super) fn able_leader(&self) -> Option<usize> {
        self.leader.filter(|leader| self.has_quorum(*leader))
    }

    /// Draws the conclusions from a change.
    pub fn settle(&mut self) {
        let (now, able) = (self.now, self.able_leader());
        let newest = self.newest();
        for at in 0..self.members.len() {
            let hears = able.is_some_and(|leader| self.connected(at, leader));
            let member = &mut self.members[at];
            if !member.is_well() {
                continue;
            }
            match able.filter(|_| hears) {
                Some(leader) => {
                    if member.knows != Some(leader) || member.unheard_since.is_some() {
                        self.touched.insert(at);
                    }
                    member.learn_leader(leader);
                    if at != leader {
                        member.primary = None;
                    }
                    if std::mem::take(&mut member.behind) {
                        member.coming.push_back((now + member.lag, newest));
                    }
                }
                None if member.knows.is_some() => {
                    member.unheard_since.get_or_insert(now);
                }
                None => {}
            }
        }
        if able.is_some() || self.candidate().is_none() {
            self.election_at = None;
        } else {
            self.election_at.get_or_insert(now + self.election_timeout);
        }
    }

    /// The one with the longest log in the group that has a quorum; the old leader only if nobody else does.
    pub(super) fn candidate(&self) -> Option<usize> {
        let mut able: Vec<_> = (0..self.members.len())
            .filter(|at| self.has_quorum(*at))
            .collect();
        let old = self.leader;
        able.sort_by_key(|at| {
            let member = &self.members[*at];
            let last = member
                .coming
                .back()
                .map_or(member.applied, |(_, last)| *last);
            (self.preferred != Some(*at), Reverse(last), old == Some(*at))
        });
        able.first().copied()
    }

    pub(super) fn elect(&mut self, leader: usize) {
        let now = self.now;
        self.term += 1;
        self.leader = Some(leader);
        self.preferred = None;
        self.election_at = None;
        let followers: Vec<_> = self.well_around(leader).collect();
        for at in followers {
            let member = &mut self.members[at];
            member.primary = None;
            // Even the same leader again is a new one.
            member.knows = None;
            member.learn_leader(leader);
            self.touched.insert(at);
        }
        let newest = self.newest();
        let member = &mut self.members[leader];
        member.behind = false;
        member.coming.clear();
        member.applied = newest;
        // A new leader does not know how much of each lease is left: it begins anew, and adds what the
        // old one may have promised meanwhile.
        let local = member.clock.local(now) + self.election_timeout;
        let mut expiries = Expiries::default();
        for (id, lease) in self.engine.leases() {
            expiries.set(id, local + seconds(lease.ttl));
        }
        member.primary = Some(expiries);
        self.refresh_ends();
    }

    /// The present leader steps down; another (or the same) is elected after an election timeout.
    pub fn depose(&mut self, preferred: Option<usize>) {
        let now = self.now;
        if let Some(leader) = self.leader.take() {
            for at in 0..self.members.len() {
                if self.connected(at, leader) && self.members[at].is_well() {
                    self.members[at].forget_leader(now);
                    self.touched.insert(at);
                }
            }
        }
        self.preferred = preferred;
        self.settle();
    }

    /// Hands the leadership over at once.
    pub fn hand_over(&mut self, to: usize) {
        if self.has_quorum(to) {
            self.elect(to);
            self.settle();
        }
    }

    pub fn leader(&self) -> Option<usize> {
        self.able_leader()
    }

    /// When a member that has known no leader for long ends the streams that want one.
    pub fn streams_end_at(&self, member: &Member) -> Option<u64> {
        let since = member.leaderless_since?;
        let looks = since / self.election_timeout + LEADERLESS_LOOKS;
        Some(looks * self.election_timeout)
    }
}
