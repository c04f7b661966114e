use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The name of the format, in every header.
pub const SCHEMA: &str = "dlock-trace/1";

/// The first line of a trace: under which circumstances it was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// `simulation` or `real`.
    pub source: String,
    /// What the run was called: a scenario, a test.
    pub title: String,
    /// The seed; none for real servers.
    pub seed: Option<u64>,
    /// `Capabilities::store`.
    pub store: String,
    /// `by_attempt`, `by_participant` or `none` (`Capabilities::fairness`).
    pub fairness: String,
    /// S8's δ in ns: how long after an early end of authority a running, connected client may still believe.
    /// None: until its next renewal is answered, or its deadline.
    pub loss_notice_ns: Option<u64>,
    /// All machines.
    pub nodes: Vec<NodeInfo>,
    /// The faults, as data; null for real servers.
    pub plan: Value,
    /// Classes of faults in the plan (`dlock_core::store::FaultClass`, as its `Debug` writes it).
    pub fault_classes: Vec<String>,
    /// The longest time a lock may take to be granted once all faults are healed, in ns.
    pub liveness_bound_ns: Option<u64>,
}

/// A machine in the trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name, as in [`Event::node`].
    pub name: String,
    /// What it does.
    pub role: Role,
}

/// What a machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs a locker.
    Client,
    /// Runs a store's server.
    Server,
    /// Holds what the locks protect.
    Storage,
    /// The world itself: faults.
    World,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unique. Events of one node rise; between nodes only `t_ns` orders, and `seq` breaks its ties.
    pub seq: u64,
    /// True time since the beginning, in ns. For real servers the machine's own clock.
    pub t_ns: u64,
    /// Where.
    pub node: String,
    /// The node's own monotonic clock, where it has one (`dlock_core::Instant::as_nanos`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_ns: Option<u64>,
    /// The `seq` of what led to this, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// What.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What happened. An *attempt* is written as `GrantHash` (32 hex digits, no secret).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    // ---- clients: what user code did
    /// User code asks for a lock. Ends with `granted`, `not_granted` or `abandoned` of the same `op`.
    Acquire {
        /// Unique in the trace.
        op: u64,
        /// The lock.
        name: String,
        /// `try_acquire`: does not wait.
        trying: bool,
        /// The wait budget, in ns.
        wait_ns: Option<u64>,
    },
    /// The guard is in the hands of user code. Begins the believed interval.
    Granted {
        /// The `acquire`.
        op: u64,
        /// The lock.
        name: String,
        /// The attempt.
        attempt: String,
        /// The token.
        token: u64,
        /// The effective TTL.
        ttl_ns: u64,
        /// The deadline on the node's own clock.
        deadline_local_ns: u64,
    },
    /// User code was told that it does not get the lock.
    NotGranted {
        /// The `acquire`.
        op: u64,
        /// Why: `busy`, `timed_out`, `unavailable`, ….
        why: String,
    },
    /// User code dropped the acquisition.
    Abandoned {
        /// The `acquire`.
        op: u64,
    },
    /// A renewal or `extend` moved the deadline (it never moves back).
    DeadlineMoved {
        /// The lock.
        name: String,
        /// The attempt.
        attempt: String,
        /// The token.
        token: u64,
        /// The new deadline on the node's own clock.
        deadline_local_ns: u64,
    },
    /// The believed interval ends: the client knows. (It ends without this event when the local clock reaches
    /// the deadline.)
    BeliefEnds {
        /// The lock.
        name: String,
        /// The attempt.
        attempt: String,
        /// The token.
        token: u64,
        /// `released`, or the cause of the loss: `expired`, `not_owner`, `unreachable`, `store`.
        how: String,
    },

    // ---- clients: what the locker asked the store
    /// A call of `LockStore` begins; a batch of renewals is one call for each lease. Ends with `answer`.
    Call {
        /// Unique in the trace.
        op: u64,
        /// Which method.
        call: CallKind,
        /// The lock.
        name: String,
        /// On whose behalf; none for `inspect` and `force_release`.
        attempt: Option<String>,
        /// The grant's token: renewals, and releases of a grant (a release by attempt alone has none).
        token: Option<u64>,
        /// The TTL asked for.
        ttl_ns: Option<u64>,
    },
    /// What the store answered.
    Answer {
        /// The `call`.
        op: u64,
        /// How it went.
        outcome: Outcome,
        /// The token of a grant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
    },

    // ---- servers: the truth
    /// From here on the store says that this attempt owns the lock. `node` is the server that says so (for etcd
    /// always `cluster`).
    AuthorityBegins {
        /// The lock.
        name: String,
        /// The attempt; none for a foreign holder.
        attempt: Option<String>,
        /// The token.
        token: Option<u64>,
        /// The true time at which it ends if nothing changes; none: without end.
        until_ns: Option<u64>,
        /// The client node whose request made it so.
        by: Option<String>,
    },
    /// The end moved (renewal, extension; a clock step).
    AuthorityMoved {
        /// The lock.
        name: String,
        /// The attempt.
        attempt: Option<String>,
        /// The token.
        token: Option<u64>,
        /// The new end.
        until_ns: Option<u64>,
        /// The client node whose request moved it; none when nobody's did (a clock step, a new leader).
        by: Option<String>,
    },
    /// The store says so no longer. For an expiry `t_ns` is the exact instant.
    AuthorityEnds {
        /// The lock.
        name: String,
        /// The attempt.
        attempt: Option<String>,
        /// The token.
        token: Option<u64>,
        /// Why.
        why: AuthorityEnd,
        /// The client node whose request ended it.
        by: Option<String>,
    },
    /// A server got a request, or sent something by itself.
    Server {
        /// In a few words, without secrets: `EVALSHA attempt`, `promoted`.
        what: String,
        /// The other side.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<String>,
    },

    // ---- the protected resource
    /// Somebody reached the protected resource.
    Storage {
        /// Which resource.
        resource: String,
        /// What was asked.
        access: StorageAccess,
        /// Which client.
        by: String,
        /// The holder that the request is on behalf of: as shown in its stamp, or else (unfenced) the newest guard
        /// that the client was given when it sent the request.
        attempt: Option<String>,
        /// The same holder's token.
        token: Option<u64>,
        /// Whether the request showed a stamp to the fence.
        fenced: bool,
        /// Accepted, or refused by the fence.
        accepted: bool,
        /// The newest token that has claimed, after this.
        newest: Option<u64>,
        /// What was written or read.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        value: Value,
    },

    // ---- the network
    /// Bytes were handed to the network.
    Send {
        /// Connection, unique in the trace.
        connection: u64,
        /// The other side.
        peer: String,
        /// How many.
        bytes: u64,
    },
    /// Bytes arrived.
    Recv {
        /// Connection.
        connection: u64,
        /// The other side.
        peer: String,
        /// How many; 0: it was closed.
        bytes: u64,
    },

    // ---- the world
    /// From here on the node's monotonic clock shows `local_ns` (of this event) and runs at `1 + rate_ppb / 1e9`;
    /// −1e9: it stands.
    Clock {
        /// Parts per billion.
        rate_ppb: i64,
    },
    /// A fault of the plan begins, or happens.
    FaultBegins {
        /// Its number in the plan.
        index: usize,
        /// The fault, as in the plan.
        fault: Value,
    },
    /// A fault ends.
    FaultEnds {
        /// Its number in the plan.
        index: usize,
    },
    /// A process stops, goes on, starts or dies: `paused`, `resumed`, `suspended`, `crashed`, `started`.
    Process {
        /// What.
        state: String,
    },
    /// All faults are over; liveness counts from here. With `core`, only between these nodes.
    Healed {
        /// The nodes that can talk to each other.
        core: Option<Vec<String>>,
    },
    /// The workload is over.
    End,
    /// For people.
    Note {
        /// What.
        text: String,
        /// Anything else.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        more: BTreeMap<String, Value>,
    },
    /// Written by the checker.
    Violation {
        /// `S1`, ….
        property: String,
        /// A sentence.
        message: String,
    },
}

/// A method of `LockStore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// `attempt`.
    Attempt,
    /// One lease of a `renew`.
    Renew,
    /// `release`.
    Release,
    /// `force_release`.
    ForceRelease,
    /// `inspect`.
    Inspect,
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// `Attempt::Granted`.
    Granted,
    /// `Attempt::Busy`.
    Busy,
    /// `Renewed::Until`.
    Renewed,
    /// `Renewed::NotOwner`.
    NotOwner,
    /// Something was there and is gone.
    Removed,
    /// Nothing was there.
    Absent,
    /// An `inspect` was answered.
    Seen,
    /// `StoreError::Unavailable`: surely not applied.
    Unavailable,
    /// `StoreError::Indeterminate`.
    Indeterminate,
    /// `StoreError::Rejected`.
    Rejected,
    /// The caller dropped the future: indeterminate.
    Dropped,
}

/// Why authority ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorityEnd {
    /// Its time ran out.
    Expired,
    /// A client's request removed it (`by` says whose).
    Removed,
    /// A client's request put somebody else in its place (`by` says whose).
    Replaced,
    /// An operator or the server itself: `DEL` by hand, `FLUSHALL`, eviction, a revoked lease.
    Dropped,
    /// A restart, failover or restore that lost it.
    Lost,
}

/// What was asked of a protected resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageAccess {
    /// A claim (which also reads).
    Claim,
    /// A read without a claim.
    Read,
    /// A write.
    Write,
}

/// What a property says of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was put to the test, and held.
    Valid,
    /// It was violated.
    Invalid,
    /// The trace does not put it to the test (nobody contended), or lacks what is needed.
    Unknown,
}
