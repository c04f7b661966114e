use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use dlock_core::store::FaultClass;
use serde::{Deserialize, Serialize};

use super::{Fault, FaultKind};

/// Everything that decides a run: `plan.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// `dlock-plan/1`.
    pub schema: String,
    /// What the clients do: `sweep`, a scenario, or the title of a test.
    pub workload: String,
    /// The store: see `dlock-sim list`.
    pub store: String,
    /// Decides the network's whims, all ids, and what the clients choose.
    pub seed: u64,
    /// How many clients.
    pub clients: usize,
    /// How many lock names they share, where the workload leaves the choice.
    pub names: usize,
    /// The TTL that the workload uses, in ms, where it leaves the choice.
    pub ttl_ms: u64,
    /// How long the clients work, in ms. Faults end by then.
    pub active_ms: u64,
    /// How long they go on after that, in ms: time to see that all is well again.
    #[serde(default, skip_serializing_if = "is_none")]
    pub calm_ms: u64,
    /// The length of a step, in µs.
    pub step_us: u64,
    /// Which clients, with the storage and all servers, can talk to each other once the faults are over; none: all.
    /// Links to the others stay cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<Vec<String>>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde wants a reference.
fn is_none(ms: &u64) -> bool {
    *ms == 0
}

impl Plan {
    /// The name of the format.
    pub const SCHEMA: &'static str = "dlock-plan/1";

    /// Reads a `plan.json`: to play it again ([`Simulation::plan`](crate::Simulation::plan)), or for good, as a test of
    /// what was found once.
    pub fn load(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let told = |kind, what| io::Error::new(kind, format!("{} {what}", path.display()));
        let text = fs::read_to_string(path)
            .map_err(|error| told(error.kind(), format!("cannot be read: {error}")))?;
        serde_json::from_str(&text)
            .map_err(|error| told(io::ErrorKind::InvalidData, format!("is no plan: {error}")))
    }

    /// The classes of faults in it.
    pub fn classes(&self) -> BTreeSet<FaultClass> {
        self.faults.iter().map(Fault::class).collect()
    }

    /// When the last fault is over, in ms.
    pub fn healed_ms(&self) -> u64 {
        let until = self.faults.iter().map(Fault::until_ms).max();
        until.unwrap_or(0)
    }

    /// What is wrong with it, in one sentence: nodes that do not exist, faults that the store does not have.
    pub fn check(&self, nodes: &[String]) -> Result<(), String> {
        if self.schema != Self::SCHEMA {
            return Err(format!(
                "schema is `{}`; this version reads `{}`",
                self.schema,
                Self::SCHEMA
            ));
        }
        if self.clients == 0 || self.step_us == 0 {
            return Err("a plan needs at least one client and a step above 0".to_owned());
        }
        if let Some(core) = &self.core
            && (core.is_empty() || !core.iter().all(|one| nodes.contains(one)))
        {
            return Err(format!(
                "the core is {core:?}: it needs at least one client, and no others"
            ));
        }
        for (index, fault) in self.faults.iter().enumerate() {
            if fault.at_ms > self.active_ms {
                return Err(format!(
                    "fault {index} begins at {} ms; the time for faults is over at {} ms (active_ms)",
                    fault.at_ms, self.active_ms
                ));
            }
            if let Some(stranger) = fault
                .kind
                .nodes()
                .into_iter()
                .find(|node| !nodes.iter().any(|known| known == node))
            {
                return Err(format!(
                    "fault {index} names the node `{stranger}`; there are {}",
                    nodes.join(", ")
                ));
            }
        }
        Ok(())
    }
}

impl FaultKind {
    /// The machines it names.
    pub fn nodes(&self) -> Vec<&str> {
        match self {
            Self::Partition { a, b }
            | Self::Hold { a, b }
            | Self::Latency { a, b, .. }
            | Self::Loss { a, b, .. } => vec![a, b],
            Self::OneWay { from, to } => vec![from, to],
            Self::StuckConnections { client, server } => vec![client, server],
            Self::Pause { node }
            | Self::PauseAt { node, .. }
            | Self::Suspend { node }
            | Self::VmPause { node }
            | Self::ClockRate { node, .. }
            | Self::Kill { node }
            | Self::Freeze { node }
            | Self::Slow { node, .. }
            | Self::Restart { node, .. }
            | Self::ClockStep { node, .. }
            | Self::CutConnections { node }
            | Self::Garble { node, .. }
            | Self::ReplicationLag { node, .. }
            | Self::Isolate { node }
            | Self::StallDisk { node } => vec![node],
            Self::Failover { to, .. } => vec![to],
            Self::DeleteLock { .. }
            | Self::FlushAll
            | Self::Evict
            | Self::OutOfMemory
            | Self::ScriptFlush
            | Self::DropPublished
            | Self::NewLeader
            | Self::RevokeLease { .. }
            | Self::Compact
            | Self::Restore => Vec::new(),
        }
    }
}
