use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use dlock_core::{AcquireError, Ended, LossCause, Observation};

use super::Kind;

/// Writes what an observer of one locker hears as events.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    /// The acquisitions that only try.
    trying: Mutex<BTreeSet<u64>>,
}

impl Listener {
    /// `operation` turns a locker's number of an acquisition into the trace's.
    pub(crate) fn observed(
        &self,
        observation: Observation<'_>,
        operation: impl FnOnce(u64) -> u64,
    ) -> Option<Kind> {
        let tried = self.tries(&observation);
        event(observation, tried, operation)
    }

    /// Whether this is about an acquisition that only tries; at its end it is forgotten.
    fn tries(&self, observation: &Observation<'_>) -> bool {
        let mut trying = self.trying.lock().unwrap_or_else(PoisonError::into_inner);
        match observation {
            Observation::Acquiring {
                acquisition,
                trying: true,
                ..
            } => trying.insert(*acquisition),
            Observation::Granted { acquisition, .. }
            | Observation::NotGranted { acquisition, .. }
            | Observation::Abandoned { acquisition, .. } => trying.remove(acquisition),
            _ => false,
        }
    }
}

fn event(
    observation: Observation<'_>,
    tried: bool,
    operation: impl FnOnce(u64) -> u64,
) -> Option<Kind> {
    let kind = match observation {
        Observation::Acquiring {
            acquisition,
            name,
            trying,
            wait,
        } => Kind::Acquire {
            op: operation(acquisition),
            name: name.to_string(),
            trying,
            wait_ns: wait.map(nanos),
        },
        Observation::Granted {
            acquisition,
            name,
            grant,
            ttl,
            deadline,
        } => Kind::Granted {
            op: operation(acquisition),
            name: name.to_string(),
            attempt: grant.hash().to_string(),
            token: grant.token.value(),
            ttl_ns: nanos(ttl),
            deadline_local_ns: deadline.as_nanos(),
        },
        Observation::NotGranted {
            acquisition, error, ..
        } => Kind::NotGranted {
            op: operation(acquisition),
            why: why(error, tried).to_owned(),
        },
        Observation::Abandoned { acquisition, .. } => Kind::Abandoned {
            op: operation(acquisition),
        },
        Observation::Extended {
            name,
            grant,
            deadline,
        } => Kind::DeadlineMoved {
            name: name.to_string(),
            attempt: grant.hash().to_string(),
            token: grant.token.value(),
            deadline_local_ns: deadline.as_nanos(),
        },
        Observation::Ended { name, grant, how } => Kind::BeliefEnds {
            name: name.to_string(),
            attempt: grant.hash().to_string(),
            token: grant.token.value(),
            how: how_it_ended(how).to_owned(),
        },
        _ => return None,
    };
    Some(kind)
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn why(error: Option<&AcquireError>, tried: bool) -> &'static str {
    match error {
        None if tried => "busy",
        // Whoever waits is told that its time is over, whatever the last answer was.
        None => "timed_out",
        Some(AcquireError::TimedOut { .. }) => "timed_out",
        Some(AcquireError::TooSlow { .. }) => "too_slow",
        Some(AcquireError::Closed) => "closed",
        Some(AcquireError::Store { .. }) => "store",
        Some(_) => "refused",
    }
}

fn how_it_ended(how: &Ended) -> &'static str {
    match how {
        Ended::Released => "released",
        Ended::Lost(LossCause::Expired) => "expired",
        Ended::Lost(LossCause::NotOwner) => "not_owner",
        Ended::Lost(LossCause::Unreachable) => "unreachable",
        Ended::Lost(_) => "store",
        _ => "lost",
    }
}
