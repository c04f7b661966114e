use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use dlock_core::runtime::{Runtime, TokioRuntime};
use dlock_core::store::{Capabilities, Fairness};
use dlock_core::{Observation, Observer};

use super::observed::Listener;
use super::{Event, Header, Kind, NodeInfo, Role, SCHEMA, Trace, TraceError};

/// Records what becomes of the locks of a real process: an observer for `LockerBuilder::observer` that appends to a file
/// of the process's own. [`Trace::gather`] makes one trace of the files of all processes.
///
/// The time is the machine's clock (`CLOCK_BOOTTIME` on Linux), the one that deadlines are on: processes on one machine
/// share it. Each event is written at once and whole, so that a killed process leaves all of them.
pub struct ProcessRecorder {
    node: String,
    /// Numbers of acquisitions are unique for a locker; these make them so for the trace.
    first_op: u64,
    clock: TokioRuntime,
    file: Mutex<File>,
    only: Option<Vec<String>>,
    listener: Listener,
}

impl ProcessRecorder {
    /// Appends to a file, under a name and a number that no other recorder of the trace has. A process with two lockers
    /// needs two recorders.
    pub fn create(path: impl AsRef<Path>, node: &str, number: u32) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            node: node.to_owned(),
            first_op: u64::from(number) << 40,
            clock: TokioRuntime::new(),
            file: Mutex::new(file),
            only: None,
            listener: Listener::default(),
        })
    }

    /// Only these locks: a trace of all that happens in an hour is long.
    #[must_use]
    pub fn only(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.only = Some(names.into_iter().collect());
        self
    }

    /// Writes an event of now. A file that cannot be written to is a trace that lacks something, and no reason to stop.
    pub fn record(&self, kind: Kind) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Behind the lock: the lines are in the order of their times.
        let now = self.clock.now().as_nanos();
        let event = Event {
            seq: 0,
            t_ns: now,
            node: self.node.clone(),
            local_ns: Some(now),
            cause: None,
            kind,
        };
        if let Ok(mut line) = serde_json::to_vec(&event) {
            line.push(b'\n');
            let _ = file.write_all(&line);
        }
    }

    fn concerns(&self, observation: &Observation<'_>) -> bool {
        let (Observation::Acquiring { name, .. }
        | Observation::Granted { name, .. }
        | Observation::NotGranted { name, .. }
        | Observation::Abandoned { name, .. }
        | Observation::Extended { name, .. }
        | Observation::Ended { name, .. }) = observation
        else {
            return false;
        };
        let named = |only: &Vec<String>| only.iter().any(|one| one == name.as_str());
        self.only.as_ref().is_none_or(named)
    }
}

impl Observer for ProcessRecorder {
    fn observe(&self, observation: Observation<'_>) {
        if !self.concerns(&observation) {
            return;
        }
        let operation = |acquisition| self.first_op.saturating_add(acquisition);
        if let Some(kind) = self.listener.observed(observation, operation) {
            self.record(kind);
        }
    }
}

impl Header {
    /// The header of a trace of real processes, whose client machines [`Trace::gather`] adds.
    pub fn of_real(title: &str, capabilities: &Capabilities) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            source: "real".to_owned(),
            title: title.to_owned(),
            seed: None,
            store: capabilities.store.to_owned(),
            fairness: match capabilities.fairness {
                Fairness::ByAttempt => "by_attempt",
                Fairness::ByParticipant => "by_participant",
                _ => "none",
            }
            .to_owned(),
            loss_notice_ns: capabilities
                .loss_notice
                .and_then(|delta| u64::try_from(delta.as_nanos()).ok()),
            nodes: Vec::new(),
            plan: serde_json::Value::Null,
            fault_classes: Vec::new(),
            liveness_bound_ns: None,
        }
    }
}

impl Trace {
    /// One trace of the files that [`ProcessRecorder`]s wrote, by the machine's clock. The last line of a file may be
    /// cut off. Machines that the header does not name are clients.
    pub fn gather<P: AsRef<Path>>(
        mut header: Header,
        files: impl IntoIterator<Item = P>,
    ) -> Result<Self, TraceError> {
        let mut events: Vec<Event> = Vec::new();
        for path in files {
            let mut lines = BufReader::new(File::open(path)?).lines().peekable();
            let mut number = 0;
            while let Some(line) = lines.next() {
                number += 1;
                match serde_json::from_str(&line?) {
                    Ok(event) => events.push(event),
                    Err(_) if lines.peek().is_none() => {}
                    Err(source) => return Err(TraceError::Line { number, source }),
                }
            }
        }
        events.sort_by_key(|event| event.t_ns);
        for (seq, event) in (0..).zip(&mut events) {
            event.seq = seq;
            if !header.nodes.iter().any(|node| node.name == event.node) {
                header.nodes.push(NodeInfo {
                    name: event.node.clone(),
                    role: Role::Client,
                });
            }
        }
        Ok(Self { header, events })
    }
}

impl fmt::Debug for ProcessRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessRecorder")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}
