//! The checker is checked: stores and clients that are broken in the ways in which locks usually are. Each must be
//! caught by name, by the checker, in ordinary simulations; with the flaw taken out the same plans hold.
//!
//! Not here: a Redlock that is content with a minority. It comes with Redlock.

pub(crate) mod client;
mod measure;
pub(crate) mod store;

use std::fmt;
use std::sync::Arc;

pub use measure::{Row, measure, measure_one, table};

use crate::checker::Property;
use crate::faults::{Fault, FaultKind, Faults, OldPrimary};
use crate::service::SimStore;
use crate::simulation::{Failure, Simulation, Summary, sweep};
use crate::{SimEtcd, SimRedis};
use client::Flaw;
use store::over_etcd::deadline_from_txn;
use store::{etcd_recipe, over_redis, plain_redis};

/// A broken store or client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Broken {
    /// Redis: a release deletes the key, whoever's it is. S5: a late release ends a successor's lock.
    ReleaseWithoutCompare,
    /// Redis: a release deletes all locks below the prefix. S5.
    ReleaseAll,
    /// Redis: `SETNX` and `EXPIRE` in two requests. S6: a lock without end, when the client dies between them.
    ExpiresApart,
    /// Redis: the token is the client's wall clock. S4: another client's clock is behind.
    ClockToken,
    /// Redis: the token is a bare `INCR`. S4: a stale replica that is promoted counts anew.
    CounterToken,
    /// Redis: a renewal writes the key anew when it is gone. S6: a lock that had ended is somebody's again.
    RenewalResurrects,
    /// Redis: a renewal compares the attempt's id, not its token. S8: a late duplicate of the request got the lock
    /// again, and the holder of the first grant, which is lost, is told that all is well.
    RenewsById,
    /// Redis: who waits is never told. L2, L1.
    DroppedWakeup,
    /// etcd: who has waited believes because nobody is before it, and does not look for its own key. S7: its lease
    /// ended in the queue.
    OwnLeaseDied,
    /// etcd: the deadline counts from the transaction that took the lock under an older lease. S7.
    DeadlineFromTxn,
    /// A client's deadline counts from the answer. S7.
    DeadlineFromReply,
    /// A client believes until it is told. S7, S1.
    NoDeadline,
    /// A dropped acquisition lives on in the background, and is renewed. S6, L1.
    OrphanOnCancel,
    /// A dropped guard goes on being renewed. S6, L1.
    DropKeeps,
    /// A client reads without a claim, and shows its token at the write only. S3: a lost update.
    FenceAtWrite,
    /// A client's clock stands still while its machine sleeps. S7.
    ClockWithoutSuspend,
}

impl Broken {
    /// All of them: stores first.
    pub const ALL: [Self; 16] = [
        Self::ReleaseWithoutCompare,
        Self::ReleaseAll,
        Self::ExpiresApart,
        Self::ClockToken,
        Self::CounterToken,
        Self::RenewalResurrects,
        Self::RenewsById,
        Self::DroppedWakeup,
        Self::OwnLeaseDied,
        Self::DeadlineFromTxn,
        Self::DeadlineFromReply,
        Self::NoDeadline,
        Self::OrphanOnCancel,
        Self::DropKeeps,
        Self::FenceAtWrite,
        Self::ClockWithoutSuspend,
    ];

    /// Its name, in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReleaseWithoutCompare => "release without compare",
            Self::ReleaseAll => "release of all",
            Self::ExpiresApart => "SETNX and EXPIRE apart",
            Self::ClockToken => "wall-clock token",
            Self::CounterToken => "token reset on failover",
            Self::RenewalResurrects => "renewal after expiry",
            Self::RenewsById => "renewal that compares the id only",
            Self::DroppedWakeup => "dropped wakeup",
            Self::OwnLeaseDied => "grant after own lease died",
            Self::DeadlineFromTxn => "deadline from a Txn on a shared lease",
            Self::DeadlineFromReply => "deadline from the reply",
            Self::NoDeadline => "no deadline",
            Self::OrphanOnCancel => "orphan on cancel",
            Self::DropKeeps => "drop that does not release",
            Self::FenceAtWrite => "fence checked only at the write",
            Self::ClockWithoutSuspend => "clock that does not count suspend",
        }
    }

    /// The properties by which it is caught: whichever a seed shows first.
    pub fn caught_by(self) -> &'static [Property] {
        use Property::*;
        match self {
            Self::ReleaseWithoutCompare | Self::ReleaseAll => &[S5],
            Self::ExpiresApart | Self::RenewalResurrects => &[S6],
            Self::ClockToken | Self::CounterToken => &[S4],
            Self::RenewsById => &[S8],
            Self::DroppedWakeup => &[L2, L1],
            Self::OwnLeaseDied
            | Self::DeadlineFromTxn
            | Self::DeadlineFromReply
            | Self::ClockWithoutSuspend => &[S7],
            Self::NoDeadline => &[S7, S1],
            Self::OrphanOnCancel | Self::DropKeeps => &[S6, L1],
            Self::FenceAtWrite => &[S3],
        }
    }

    /// What goes wrong beside it: the gentle swarm; for some, what it takes to show them soon.
    pub fn faults(self) -> Faults {
        match self {
            Self::CounterToken => Faults::Fixed(stale_replica()),
            Self::ExpiresApart => Faults::Fixed(deaths()),
            Self::RenewsById => Faults::Fixed(deletions()),
            Self::DeadlineFromReply => Faults::Fixed(slow_answers()),
            Self::ClockWithoutSuspend => Faults::Fixed(sleeps()),
            _ => Faults::gentle_swarm(),
        }
    }

    /// Runs it under these seeds; the error is how it was caught.
    pub fn run(self, seeds: impl IntoIterator<Item = u64>) -> Result<Summary, Box<Failure>> {
        self.simulation(true, seeds).try_run()
    }

    /// Runs the same without the flaw, in the same plans.
    pub fn run_sound(self, seeds: impl IntoIterator<Item = u64>) -> Result<Summary, Box<Failure>> {
        self.simulation(false, seeds).try_run()
    }

    fn simulation(self, broken: bool, seeds: impl IntoIterator<Item = u64>) -> Simulation {
        let sound = if broken { "" } else { " (sound)" };
        let simulation = Simulation::new()
            .title(format!("broken: {}{sound}", self.name()))
            .shared_store(self.store(broken))
            .faults(self.faults())
            .seeds(seeds)
            .shrink(false);
        let simulation = match self {
            // Under these faults the store promises it to nobody; the sound one keeps it nevertheless.
            Self::CounterToken => simulation.check(Property::S4),
            Self::RenewsById => simulation.lock_names(1),
            // That its end comes nearer at once (S5) is not the harm.
            Self::ExpiresApart => simulation.check(Property::S6),
            _ => simulation,
        };
        match self.flaw() {
            Some(flaw) => {
                let flaw = if broken { flaw } else { Flaw::None };
                simulation.clients(3, move |client| client::work(client, flaw))
            }
            None => simulation.clients(3, sweep),
        }
    }

    fn store(self, broken: bool) -> Arc<dyn SimStore> {
        let plain = |servers, flaw, duplicates| -> Arc<dyn SimStore> {
            let flaw = if broken {
                flaw
            } else {
                plain_redis::Flaw::None
            };
            Arc::new(plain_redis::plain(servers, flaw, duplicates))
        };
        let flawed = |flaw| -> Arc<dyn SimStore> {
            match broken {
                true => Arc::new(over_redis::flawed(SimRedis::single(), flaw)),
                false => Arc::new(SimRedis::single()),
            }
        };
        let single = SimRedis::single;
        match self {
            Self::ReleaseWithoutCompare => flawed(over_redis::Flaw::ReleaseWithoutCompare),
            Self::ReleaseAll => flawed(over_redis::Flaw::ReleaseAll),
            Self::RenewalResurrects => flawed(over_redis::Flaw::RenewalResurrects),
            Self::DroppedWakeup => flawed(over_redis::Flaw::DroppedWakeup),
            Self::ExpiresApart => plain(single(), plain_redis::Flaw::ExpiresApart, false),
            Self::ClockToken => plain(single(), plain_redis::Flaw::ClockToken, false),
            Self::CounterToken => {
                let servers = SimRedis::primary_with_replica();
                plain(servers, plain_redis::Flaw::CounterToken, false)
            }
            Self::RenewsById => plain(single(), plain_redis::Flaw::RenewsById, true),
            Self::OwnLeaseDied => Arc::new(etcd_recipe::recipe(match broken {
                true => etcd_recipe::Flaw::BelievesAfterTheWait,
                false => etcd_recipe::Flaw::None,
            })),
            Self::DeadlineFromTxn if broken => Arc::new(deadline_from_txn()),
            Self::DeadlineFromTxn => Arc::new(SimEtcd::cluster()),
            _ => Arc::new(single()),
        }
    }

    fn flaw(self) -> Option<Flaw> {
        Some(match self {
            Self::DeadlineFromReply => Flaw::DeadlineFromReply,
            Self::NoDeadline => Flaw::NoDeadline,
            Self::OrphanOnCancel => Flaw::OrphanOnCancel,
            Self::DropKeeps => Flaw::DropKeeps,
            Self::FenceAtWrite => Flaw::FenceAtWrite,
            Self::ClockWithoutSuspend => Flaw::ClockWithoutSuspend,
            _ => return None,
        })
    }
}

/// The name.
impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The primary dies while the replica is far behind.
fn stale_replica() -> Vec<Fault> {
    let node = "redis-2".to_owned();
    let lag = FaultKind::ReplicationLag {
        node: node.clone(),
        ms: 3000,
    };
    let failover = FaultKind::Failover {
        to: node,
        old: OldPrimary::Dies,
    };
    vec![
        Fault {
            at_ms: 0,
            for_ms: 6000,
            kind: lag,
        },
        Fault {
            at_ms: 4000,
            for_ms: 3000,
            kind: failover,
        },
    ]
}

/// An operator deletes the lock's key now and then.
fn deletions() -> Vec<Fault> {
    let deletion = |turn: u64| Fault {
        at_ms: 500 + 700 * turn,
        for_ms: 0,
        kind: FaultKind::DeleteLock {
            name: "lock-1".to_owned(),
        },
    };
    (0..12).map(deletion).collect()
}

/// The server is slow, and clients die.
fn deaths() -> Vec<Fault> {
    let slow = FaultKind::Slow {
        node: "redis-1".to_owned(),
        ms: 200,
    };
    let death = |turn: u64| Fault {
        at_ms: 1000 * turn,
        for_ms: 300,
        kind: FaultKind::Kill {
            node: format!("c{}", turn % 3 + 1),
        },
    };
    let slow = Fault {
        at_ms: 0,
        for_ms: 9500,
        kind: slow,
    };
    (1..=8).map(death).chain([slow]).collect()
}

/// The server is slow, and one client after the other stops for longer than its TTL.
fn slow_answers() -> Vec<Fault> {
    let slow = FaultKind::Slow {
        node: "redis-1".to_owned(),
        ms: 300,
    };
    one_after_the_other(|node| FaultKind::Pause { node })
        .chain([Fault {
            at_ms: 0,
            for_ms: 9500,
            kind: slow,
        }])
        .collect()
}

/// One machine after the other sleeps for longer than a TTL.
fn sleeps() -> Vec<Fault> {
    one_after_the_other(|node| FaultKind::Suspend { node }).collect()
}

fn one_after_the_other(kind: impl Fn(String) -> FaultKind) -> impl Iterator<Item = Fault> {
    (1..=3).map(move |turn| Fault {
        at_ms: 3000 * turn - 2000,
        for_ms: 2500,
        kind: kind(format!("c{turn}")),
    })
}
