use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dlock_core::{Observation, Observer};

use super::{Holder, NewestGrant};
use crate::trace::Listener;
use crate::world::Machine;

/// Writes what a locker's locks become into the trace.
pub(crate) struct TraceObserver {
    machine: Arc<Machine>,
    newest: NewestGrant,
    /// From the locker's numbers to the trace's.
    operations: Mutex<BTreeMap<u64, u64>>,
    listener: Listener,
}

impl TraceObserver {
    pub fn new(machine: Arc<Machine>, newest: NewestGrant) -> Self {
        Self {
            machine,
            newest,
            operations: Mutex::default(),
            listener: Listener::default(),
        }
    }

    fn operation(&self, acquisition: u64) -> u64 {
        let mut operations = self
            .operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *operations
            .entry(acquisition)
            .or_insert_with(|| self.machine.recorder().next_op())
    }
}

impl Observer for TraceObserver {
    fn observe(&self, observation: Observation<'_>) {
        if let Observation::Granted { grant, .. } = &observation {
            let holder = Holder {
                attempt: grant.hash().to_string(),
                token: grant.token.value(),
            };
            *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(holder);
        }
        let operation = |acquisition| self.operation(acquisition);
        if let Some(kind) = self.listener.observed(observation, operation) {
            self.machine.record(kind);
        }
    }
}
