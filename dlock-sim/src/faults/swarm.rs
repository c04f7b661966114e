use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{Disk, Fault, FaultKind, OldPrimary};

/// Where the faults of a run come from.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Faults {
    /// Nothing goes wrong.
    #[default]
    None,
    /// For each seed another random selection of kinds, with other weights, of those against which the store promises
    /// that nothing breaks.
    Swarm(Swarm),
    /// The same faults for each seed.
    Fixed(Vec<Fault>),
}

/// Which faults a swarm may choose from.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Swarm {
    /// The fewest faults in a plan.
    pub at_least: u64,
    /// The most faults in a plan.
    pub at_most: u64,
    /// Also those after which two holders are possible (failover to a stale replica, eviction, clock jumps, a paused
    /// VM): what a fence is for.
    pub violent: bool,
    /// In the end only some of the clients are healed, others chosen for each seed: the rest stay cut off.
    pub cores: bool,
}

impl Default for Swarm {
    fn default() -> Self {
        Self {
            at_least: 2,
            at_most: 6,
            violent: false,
            cores: false,
        }
    }
}

impl Faults {
    /// Random faults, chosen anew for each seed: partitions, pauses, slow and restarted servers, …; also violent
    /// ones, because a write behind a fence survives them all.
    pub fn swarm() -> Self {
        Self::Swarm(Swarm {
            violent: true,
            ..Swarm::default()
        })
    }

    /// Only such faults as the store promises to survive without a fence.
    pub fn gentle_swarm() -> Self {
        Self::Swarm(Swarm::default())
    }
}

/// What a swarm needs to know of the world.
pub(crate) struct Ground<'a> {
    pub store: &'a str,
    pub clients: &'a [String],
    pub servers: &'a [String],
    pub names: &'a [String],
    pub ttl_ms: u64,
    pub active_ms: u64,
}

/// The faults of one seed, from a stream of its own.
pub(crate) fn generate(swarm: Swarm, seed: u64, ground: &Ground<'_>) -> Vec<Fault> {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed ^ 0x6661_756c_7473));
    let families = families(ground, swarm.violent);
    // Swarm: each family is off for about half of the seeds, and the rest weigh differently each time.
    let mut weighed: Vec<(Family, u64)> = Vec::new();
    for family in families {
        if dice.below(2) == 0 {
            weighed.push((family, 1 + dice.below(8)));
        }
    }
    if weighed.is_empty() {
        weighed.push((Family::Partition, 1));
    }
    let total: u64 = weighed.iter().map(|(_, weight)| weight).sum();
    let count = swarm.at_least + dice.below(swarm.at_most.saturating_sub(swarm.at_least) + 1);
    let mut faults = Vec::new();
    for _ in 0..count {
        let mut ticket = dice.below(total);
        let chosen = weighed.iter().find(|(_, weight)| {
            let hit = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            hit
        });
        if let Some((family, _)) = chosen
            && let Some(fault) = family.one(&mut dice, ground)
        {
            faults.push(fault);
        }
    }
    one_restart_at_a_time(&mut faults);
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}

/// Who is healed in the end: more than one client, and not all.
pub(crate) fn random_core(swarm: Swarm, seed: u64, ground: &Ground<'_>) -> Option<Vec<String>> {
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed ^ 0x636f_7265));
    let mut core = ground.clients.to_vec();
    if !swarm.cores || core.len() < 3 {
        return None;
    }
    let left_out = 1 + dice.below(core.len() as u64 - 2);
    for _ in 0..left_out {
        core.remove(dice.below(core.len() as u64) as usize);
    }
    Some(core)
}

/// A server that is down cannot be killed, nor its snapshot be taken.
fn one_restart_at_a_time(faults: &mut Vec<Fault>) {
    let mut kept: Vec<Fault> = Vec::new();
    for fault in faults.drain(..) {
        let clashes = is_upheaval(&fault.kind)
            && kept.iter().any(|other| {
                is_upheaval(&other.kind)
                    && fault.at_ms <= other.until_ms() + 500
                    && other.at_ms <= fault.until_ms() + 500
            });
        if !clashes {
            kept.push(fault);
        }
    }
    *faults = kept;
}

fn is_upheaval(kind: &FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::Restart { .. }
            | FaultKind::Failover { .. }
            | FaultKind::Restore
            | FaultKind::Kill { .. }
            | FaultKind::Freeze { .. }
            | FaultKind::Isolate { .. }
            | FaultKind::StallDisk { .. }
            | FaultKind::NewLeader
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Partition,
    OneWay,
    Hold,
    Latency,
    Loss,
    Pause,
    LongPause,
    PauseAtWrite,
    Suspend,
    VmPause,
    ClockRate,
    Kill,
    Freeze,
    Slow,
    Restart,
    RestartLossy,
    ClockStep,
    CutConnections,
    DeleteLock,
    Lag,
    Failover,
    Keys,
    OutOfMemory,
    ScriptFlush,
    DropPublished,
    Isolate,
    NewLeader,
    StallDisk,
    RevokeLease,
    Compact,
    Restore,
}

fn families(ground: &Ground<'_>, violent: bool) -> Vec<Family> {
    use Family::*;
    let mut all = vec![
        Partition,
        OneWay,
        Hold,
        Latency,
        Loss,
        Pause,
        LongPause,
        PauseAtWrite,
        Suspend,
        ClockRate,
        Kill,
        Slow,
        CutConnections,
    ];
    let redis = ground.store.starts_with("redis");
    if redis {
        all.extend([Freeze, Restart, OutOfMemory, ScriptFlush, DropPublished]);
    } else {
        all.extend([Isolate, NewLeader, Restart, Compact]);
    }
    if violent {
        all.extend([VmPause, DeleteLock]);
        if redis {
            all.extend([RestartLossy, ClockStep, Keys]);
            if ground.servers.len() > 1 {
                all.extend([Lag, Failover, Failover]);
            }
        } else {
            all.extend([Freeze, StallDisk, RevokeLease, Restore]);
        }
    }
    all
}

impl Family {
    fn one(self, dice: &mut Dice, ground: &Ground<'_>) -> Option<Fault> {
        let client = dice.pick(ground.clients)?.clone();
        let server = dice.pick(ground.servers)?.clone();
        let name = dice.pick(ground.names)?.clone();
        let ttl = ground.ttl_ms;
        let at_ms = 200 + dice.below(ground.active_ms.saturating_sub(200).max(1));
        let brief = 20 + dice.below(400);
        let long = ttl / 2 + dice.below(ttl * 2);
        let mut for_ms = if dice.below(2) == 0 { brief } else { long };
        // Mostly between a client and a server, at times between a client and what it protects.
        let peer = if dice.below(8) == 0 {
            "storage".to_owned()
        } else {
            server.clone()
        };
        let node = server;
        let kind = match self {
            Self::Partition => FaultKind::Partition { a: client, b: peer },
            Self::OneWay if dice.below(2) == 0 => FaultKind::OneWay {
                from: client,
                to: peer,
            },
            Self::OneWay => FaultKind::OneWay {
                from: peer,
                to: client,
            },
            Self::Hold => FaultKind::Hold { a: client, b: peer },
            Self::Latency => FaultKind::Latency {
                a: client,
                b: peer,
                ms: 50 + dice.below(ttl),
            },
            Self::Loss => FaultKind::Loss {
                a: client,
                b: peer,
                per_mille: (10 + dice.below(200)) as u32,
            },
            Self::Pause => FaultKind::Pause { node: client },
            Self::LongPause => {
                for_ms = ttl + dice.below(2 * ttl);
                FaultKind::Pause { node: client }
            }
            Self::PauseAtWrite => {
                for_ms = ttl / 2 + dice.below(2 * ttl);
                FaultKind::PauseAt {
                    node: client,
                    point: "before-write".to_owned(),
                    visit: 1 + dice.below(3) as u32,
                }
            }
            Self::Suspend => FaultKind::Suspend { node: client },
            Self::VmPause => FaultKind::VmPause { node: client },
            Self::ClockRate => {
                for_ms = 1000 + dice.below(ground.active_ms);
                // Within the usual drift of 1 %.
                FaultKind::ClockRate {
                    node: client,
                    ppm: dice.below(18_000) as i64 - 9_000,
                }
            }
            Self::Kill => FaultKind::Kill { node: client },
            Self::Freeze => FaultKind::Freeze { node },
            Self::Slow => FaultKind::Slow {
                node,
                ms: 20 + dice.below(ttl / 2),
            },
            Self::Restart => FaultKind::Restart {
                node,
                disk: Disk::Kept,
            },
            Self::RestartLossy => FaultKind::Restart {
                node,
                disk: if dice.below(2) == 0 {
                    Disk::LastSecondLost
                } else {
                    Disk::Lost
                },
            },
            Self::ClockStep => FaultKind::ClockStep {
                node,
                by_ms: dice.below(4 * ttl) as i64 - 2 * ttl as i64,
            },
            Self::CutConnections => FaultKind::CutConnections { node },
            Self::DeleteLock => FaultKind::DeleteLock { name },
            Self::Lag => FaultKind::ReplicationLag {
                node,
                ms: 50 + dice.below(2000),
            },
            Self::Failover => FaultKind::Failover {
                to: node,
                old: match dice.below(3) {
                    0 => OldPrimary::Dies,
                    1 => OldPrimary::Demoted,
                    _ => OldPrimary::StaysForSome,
                },
            },
            Self::Keys if dice.below(2) == 0 => FaultKind::FlushAll,
            Self::Keys => FaultKind::Evict,
            Self::OutOfMemory => FaultKind::OutOfMemory,
            Self::ScriptFlush => FaultKind::ScriptFlush,
            Self::DropPublished => FaultKind::DropPublished,
            Self::Isolate => FaultKind::Isolate { node },
            Self::NewLeader => FaultKind::NewLeader,
            Self::StallDisk => {
                for_ms = 1500 + dice.below(2 * ttl);
                FaultKind::StallDisk { node }
            }
            Self::RevokeLease => FaultKind::RevokeLease { name },
            Self::Compact => FaultKind::Compact,
            Self::Restore => FaultKind::Restore,
        };
        let for_ms = if kind.is_instant() {
            0
        } else {
            for_ms.min(ground.active_ms.saturating_sub(at_ms)).max(10)
        };
        Some(Fault {
            at_ms,
            for_ms,
            kind,
        })
    }
}

/// Random choices.
pub(crate) struct Dice(pub ChaCha8Rng);

impl Dice {
    pub fn below(&mut self, limit: u64) -> u64 {
        // The bias is far below what a schedule could show.
        self.0.next_u64() % limit.max(1)
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() {
            return None;
        }
        from.get(self.below(from.len() as u64) as usize)
    }
}
