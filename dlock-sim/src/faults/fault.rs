use dlock_core::store::FaultClass;
use serde::{Deserialize, Serialize};

/// Something that goes wrong, when, and for how long.
// (Unknown fields are refused by the kind, which gets all that is left: serde's `flatten` cannot refuse them here.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// When it begins, in ms after the beginning of the world.
    pub at_ms: u64,
    /// How long it lasts. What happens at an instant ignores it.
    #[serde(default)]
    pub for_ms: u64,
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
}

/// What goes wrong. Nodes are named as in the trace: clients `c1`, `c2`, …; the protected resources' machine
/// `storage`; servers `redis-1`, …, `etcd-1`, ….
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FaultKind {
    // ---- the network
    /// What the two say to each other is dropped for good.
    Partition {
        /// One side.
        a: String,
        /// The other side.
        b: String,
    },
    /// What one says to the other is dropped for good.
    OneWay {
        /// The speaker.
        from: String,
        /// Who hears nothing.
        to: String,
    },
    /// What the two say to each other is held back, and arrives at the end of the fault.
    Hold {
        /// One side.
        a: String,
        /// The other side.
        b: String,
    },
    /// Messages between the two travel for up to so long.
    Latency {
        /// One side.
        a: String,
        /// The other side.
        b: String,
        /// The slowest, in ms.
        ms: u64,
    },
    /// The share of messages between the two that is lost.
    Loss {
        /// One side.
        a: String,
        /// The other side.
        b: String,
        /// Per mille.
        per_mille: u32,
    },

    // ---- client machines
    /// The process stands still; its clocks go on (garbage collection, `SIGSTOP`).
    Pause {
        /// The client.
        node: String,
    },
    /// The process stands still from the moment it reaches this safe point for the `visit`th time (from 1), if that
    /// is after `at_ms`.
    PauseAt {
        /// The client.
        node: String,
        /// The name given to `SimClient::safe_point`.
        point: String,
        /// Which visit after `at_ms`.
        visit: u32,
    },
    /// The machine sleeps: timers stop, the clock that counts suspend goes on.
    Suspend {
        /// The client.
        node: String,
    },
    /// The hypervisor stops the machine: all of its clocks stop.
    VmPause {
        /// The client.
        node: String,
    },
    /// The machine's clocks run fast (or slow, if negative).
    ClockRate {
        /// The client.
        node: String,
        /// Parts per million.
        ppm: i64,
    },
    /// The client's process is killed, and started anew at the end of the fault.
    Kill {
        /// The client.
        node: String,
    },

    // ---- any server
    /// The server's process stands still (`SIGSTOP`).
    Freeze {
        /// The server.
        node: String,
    },
    /// Every answer comes later by so much.
    Slow {
        /// The server.
        node: String,
        /// In ms.
        ms: u64,
    },
    /// The server is killed, and started again at the end of the fault.
    Restart {
        /// The server.
        node: String,
        /// What it finds on its disk.
        disk: Disk,
    },
    /// The server's wall clock jumps, at an instant.
    ClockStep {
        /// The server.
        node: String,
        /// In ms, forward if positive.
        by_ms: i64,
    },
    /// All connections to the server are cut, at an instant.
    CutConnections {
        /// The server.
        node: String,
    },
    /// What a client says over the connections that it has at the beginning is held back, and arrives at the end; new
    /// connections are as ever. Redis only.
    StuckConnections {
        /// The client.
        client: String,
        /// The server.
        server: String,
    },
    /// An operator deletes the keys of a lock, at an instant.
    DeleteLock {
        /// The lock.
        name: String,
    },

    // ---- Redis
    /// Replication to this replica comes later by so much.
    ReplicationLag {
        /// The replica.
        node: String,
        /// In ms.
        ms: u64,
    },
    /// This replica is promoted, at an instant.
    Failover {
        /// The replica.
        to: String,
        /// What becomes of the old primary.
        old: OldPrimary,
    },
    /// `FLUSHALL`, at an instant.
    FlushAll,
    /// The server evicts all keys without asking, at an instant.
    Evict,
    /// The server refuses writes that need memory.
    OutOfMemory,
    /// `SCRIPT FLUSH`, at an instant.
    ScriptFlush,
    /// Published messages go nowhere.
    DropPublished,
    /// Commands are executed, and the answers to them are no answers.
    Garble {
        /// The server.
        node: String,
        /// What comes instead.
        answers: Garbage,
    },

    // ---- etcd
    /// The member is cut off from the others (and not from the clients).
    Isolate {
        /// The member.
        node: String,
    },
    /// Another member becomes the leader, after an election, at an instant.
    NewLeader,
    /// The member's disk hangs: a leader is replaced, and acts on its old view when the disk comes back.
    StallDisk {
        /// The member.
        node: String,
    },
    /// An operator revokes the lease under which a lock is held, at an instant.
    RevokeLease {
        /// The lock.
        name: String,
    },
    /// The history is compacted up to now, at an instant.
    Compact,
    /// The cluster is restored from a snapshot of the fault's beginning, at its end: its revisions go back.
    Restore,
}

/// What a restarted server finds on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disk {
    /// Everything.
    Kept,
    /// Everything but the last second (`appendfsync everysec`).
    LastSecondLost,
    /// Nothing.
    Lost,
}

/// What comes instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// Another type than was asked for.
    WrongType,
    /// A number that no program can hold.
    AbsurdNumber,
    /// The beginning of the answer, and the end of the connection.
    CutShort,
}

/// What becomes of a primary when another one is promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OldPrimary {
    /// It has died; it comes back as a replica at the end of the fault.
    Dies,
    /// It becomes a replica at once.
    Demoted,
    /// Clients with odd numbers still reach it, and believe in it, until the end of the fault.
    StaysForSome,
}

impl Fault {
    /// Its end.
    pub fn until_ms(&self) -> u64 {
        self.at_ms
            + if self.kind.is_instant() {
                0
            } else {
                self.for_ms
            }
    }

    /// The class of faults that it belongs to: a store's promises are about these.
    pub fn class(&self) -> FaultClass {
        match &self.kind {
            FaultKind::Partition { .. }
            | FaultKind::OneWay { .. }
            | FaultKind::Hold { .. }
            | FaultKind::Latency { .. }
            | FaultKind::Loss { .. }
            | FaultKind::CutConnections { .. }
            | FaultKind::StuckConnections { .. }
            | FaultKind::Slow { .. }
            | FaultKind::DropPublished
            | FaultKind::Garble { .. } => FaultClass::Network,
            FaultKind::Pause { .. }
            | FaultKind::PauseAt { .. }
            | FaultKind::Suspend { .. }
            | FaultKind::Kill { .. } => FaultClass::ClientPause,
            FaultKind::VmPause { .. } => FaultClass::VmPause,
            FaultKind::ClockRate { .. } => FaultClass::ClockRate,
            FaultKind::ClockStep { .. } => FaultClass::ServerClockStep,
            FaultKind::Freeze { .. }
            | FaultKind::Isolate { .. }
            | FaultKind::NewLeader
            | FaultKind::StallDisk { .. } => FaultClass::ServerPause,
            FaultKind::Restart {
                disk: Disk::Kept, ..
            }
            | FaultKind::OutOfMemory
            | FaultKind::ScriptFlush
            | FaultKind::Compact => FaultClass::ServerRestart,
            FaultKind::Restart { .. } | FaultKind::Failover { .. } | FaultKind::Restore => {
                FaultClass::ServerLosesData
            }
            FaultKind::ReplicationLag { .. } => FaultClass::Network,
            FaultKind::DeleteLock { .. }
            | FaultKind::FlushAll
            | FaultKind::Evict
            | FaultKind::RevokeLease { .. } => FaultClass::KeysDropped,
        }
    }
}

impl FaultKind {
    /// Whether it happens at an instant, whatever its duration says.
    pub fn is_instant(&self) -> bool {
        matches!(
            self,
            Self::ClockStep { .. }
                | Self::CutConnections { .. }
                | Self::DeleteLock { .. }
                | Self::FlushAll
                | Self::Evict
                | Self::ScriptFlush
                | Self::NewLeader
                | Self::RevokeLease { .. }
                | Self::Compact
        ) || matches!(
            self,
            Self::Failover {
                old: OldPrimary::Demoted,
                ..
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_as_it_was_written_and_a_misspelt_one_is_refused() {
        let fault = Fault {
            at_ms: 1,
            for_ms: 2,
            kind: FaultKind::Pause {
                node: "c1".to_owned(),
            },
        };
        let text = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&text).unwrap(), fault);
        let misspelt = text.replace("for_ms", "for_msec");
        assert!(
            serde_json::from_str::<Fault>(&misspelt).is_err(),
            "{misspelt}"
        );
    }

    #[test]
    fn a_fault_of_an_instant_needs_no_duration() {
        let fault = serde_json::from_str::<Fault>(r#"{"at_ms":1,"fault":"flush_all"}"#).unwrap();
        assert_eq!((fault.for_ms, fault.kind), (0, FaultKind::FlushAll));
    }
}
