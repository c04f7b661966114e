//! What the world does to members.

use super::Core;
use super::log::Route;
use crate::etcd::cluster::truth::Cause;
use crate::etcd::engine::{Engine, Proposal};

impl Core {
    pub fn regroup(&mut self, groups: &[usize]) {
        for (at, group) in groups.iter().enumerate() {
            if self.members[at].group != *group {
                self.members[at].group = *group;
                self.members[at].cut_off();
                self.touched.insert(at);
            }
        }
        self.settle();
    }

    pub fn kill(&mut self, at: usize) {
        let now = self.now;
        let member = &mut self.members[at];
        member.cut_off();
        member.stalled = false;
        member.forget_leader(now);
        member.process.kill();
        if self.leader == Some(at) {
            self.leader = None;
        }
        self.settle();
        self.touched.insert(at);
    }

    pub fn restart(&mut self, at: usize) {
        let newest = self.newest();
        let member = &mut self.members[at];
        member.behind |= member.applied < newest;
        member.process.start();
        self.settle();
        self.touched.insert(at);
    }

    pub fn freeze(&mut self, at: usize, frozen: bool) {
        let now = self.now;
        let member = &mut self.members[at];
        if frozen {
            member.cut_off();
        }
        member.process.freeze(frozen);
        if !frozen && self.leader != Some(at) && member.primary.is_some() {
            // It hears of its successor before it can do anything as a leader.
            member.forget_leader(now);
        }
        self.settle();
        self.touched.insert(at);
    }

    /// A leader that was deposed while its log was stuck has gone on counting its leases. What it then wants
    /// to revoke goes to its successor, who does not ask (etcd issue 15247).
    pub fn stall(&mut self, at: usize, stalled: bool) {
        let now = self.now;
        let member = &mut self.members[at];
        let woke = member.stalled && !stalled;
        if stalled {
            member.cut_off();
        }
        member.stalled = stalled;
        let mut ended = Vec::new();
        if woke && self.leader != Some(at) {
            let local = member.clock.local(now);
            ended = member.primary.take().unwrap_or_default().take_ended(local);
            member.forget_leader(now);
        }
        self.settle();
        if let Route::Leader { leader, term } = self.route(at) {
            for id in ended {
                let revoke = Proposal::LeaseRevoke(id);
                let due = now + self.commit_delay;
                self.push(due, revoke, (leader, term), Cause::Operator, None);
            }
        }
        self.touched.insert(at);
    }

    pub fn set_clock_rate(&mut self, at: usize, rate_ppb: i64) {
        let now = self.now;
        self.members[at].clock.set_rate(now, rate_ppb);
        if self.leader == Some(at) {
            self.refresh_ends();
        }
    }

    /// All members are stopped, and started on an older state.
    pub fn restore(&mut self, engine: Engine) {
        for at in 0..self.members.len() {
            self.kill(at);
        }
        self.proposals.clear();
        self.engine = engine;
        self.index += 1;
        self.ends.clear();
        let newest = self.newest();
        for member in &mut self.members {
            member.applied = newest;
            member.behind = false;
            member.process.start();
        }
        self.truth.restored(self.now, &self.engine, &self.ends);
        self.settle();
    }
}
