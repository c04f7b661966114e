use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Event, Kind};

/// Tells the true time.
pub trait TrueClock: Send + Sync {
    /// Since the beginning, in ns.
    fn now_ns(&self) -> u64;
}

/// Collects events. Cheap to clone; all clones write one trace.
#[derive(Clone)]
pub struct Recorder {
    clock: Arc<dyn TrueClock>,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    events: Vec<Event>,
    operations: u64,
    grants: u64,
}

impl Recorder {
    /// An empty trace on this clock.
    pub fn new(clock: Arc<dyn TrueClock>) -> Self {
        Self {
            clock,
            log: Arc::default(),
        }
    }

    /// The same trace on a clock that stands still where this one goes back: for what is shared by machines that
    /// take turns within a step. What they do at such a moment reaches nobody before the next step.
    pub fn never_going_back(&self) -> Self {
        Self {
            clock: Arc::new(Monotone {
                clock: self.clock.clone(),
                newest_ns: AtomicU64::new(0),
            }),
            log: self.log.clone(),
        }
    }

    /// The true time.
    pub fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// Writes an event of now. Returns its `seq`.
    pub fn record(&self, node: &str, kind: Kind) -> u64 {
        self.push(self.now_ns(), node, None, None, kind)
    }

    /// The same, with what the node's own clock shows.
    pub fn record_local(&self, node: &str, local_ns: u64, kind: Kind) -> u64 {
        self.push(self.now_ns(), node, Some(local_ns), None, kind)
    }

    /// The same, at another true time (an expiry that is noticed late) and with a cause.
    pub fn record_at(&self, t_ns: u64, node: &str, cause: Option<u64>, kind: Kind) -> u64 {
        self.push(t_ns, node, None, cause, kind)
    }

    /// A new number for an operation.
    pub fn next_op(&self) -> u64 {
        let mut log = self.log();
        log.operations += 1;
        log.operations
    }

    /// How often a lock was granted so far.
    pub(crate) fn grants(&self) -> u64 {
        self.log().grants
    }

    /// All events so far, ordered by true time.
    pub fn events(&self) -> Vec<Event> {
        let mut events = self.log().events.clone();
        events.sort_by_key(|event| (event.t_ns, event.seq));
        events
    }

    fn push(
        &self,
        t_ns: u64,
        node: &str,
        local_ns: Option<u64>,
        cause: Option<u64>,
        kind: Kind,
    ) -> u64 {
        let mut log = self.log();
        let seq = log.events.len() as u64;
        log.grants += u64::from(matches!(kind, Kind::Granted { .. }));
        log.events.push(Event {
            seq,
            t_ns,
            node: node.to_owned(),
            local_ns,
            cause,
            kind,
        });
        seq
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Monotone {
    clock: Arc<dyn TrueClock>,
    newest_ns: AtomicU64,
}

impl TrueClock for Monotone {
    fn now_ns(&self) -> u64 {
        let now = self.clock.now_ns();
        self.newest_ns.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("events", &self.log().events.len())
            .finish()
    }
}
