//! The in-process store: exact, fair, without I/O. The reference that other backends are compared
//! with, and the embedded default of examples and users' unit tests.

mod name_state;
mod place;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::runtime::{Runtime, TokioRuntime};
use crate::store::{
    Attempt, AttemptRequest, Capabilities, Fairness, FaultClass, Inspection, LockStore, Promise,
    Property, Release, Released, Renewal, Renewed, StoreError, TtlSupport, Watch,
};
use crate::{FencingToken, Instant, LockName};

use name_state::NameState;
use place::MemoryPlace;
use watch::MemoryWatch;

/// Locks of this process. Clones share the locks, as two connections to one server would.
///
/// Waiting is first in, first out over attempts; a waiter that does not take its turn within 0.5 s
/// loses its place. Tokens rise over all names together.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: Arc<dyn Runtime>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<LockName, NameState>,
    newest_token: u64,
}

impl MemoryStore {
    /// An empty store on [`TokioRuntime`].
    pub fn new() -> Self {
        Self::with_runtime(Arc::new(TokioRuntime::new()))
    }

    /// An empty store on this runtime; give the locker the same.
    pub fn with_runtime(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            shared: Arc::new(Shared {
                runtime,
                state: Mutex::default(),
            }),
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    /// Looks at a name's state at this instant; forgets names that nobody uses.
    fn at<T>(
        &self,
        name: &LockName,
        look: impl FnOnce(&mut NameState, Instant, &mut u64) -> T,
    ) -> T {
        let mut state = self.state();
        // Read inside the lock, so that nobody acts on an instant that is older than another's.
        let now = self.runtime.now();
        let State {
            names,
            newest_token,
        } = &mut *state;
        let entry = names.entry(name.clone()).or_default();
        entry.settle(now);
        let result = look(entry, now, newest_token);
        if entry.is_unused() {
            names.remove(name);
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LockStore for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        const CAPABILITIES: Capabilities = Capabilities::plain("memory")
            .with_fencing()
            .with_fairness(Fairness::ByAttempt)
            .with_push()
            .with_renewal_batch(1000)
            .with_ttl(TtlSupport {
                min: Duration::from_millis(1),
                max: Duration::from_secs(365 * 24 * 3600),
                granularity: Duration::from_nanos(1),
                at_least: Duration::from_millis(1),
            })
            .with_loss_notice(Duration::ZERO)
            .with_exceptions(&NO_SERVER);
        CAPABILITIES
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let answer = self.shared.at(&request.name, |entry, now, newest_token| {
            entry.attempt(request, now, || {
                *newest_token += 1;
                FencingToken::new(*newest_token).unwrap_or(FencingToken::MAX)
            })
        });
        Ok(match answer {
            Ok(granted) => Attempt::Granted(granted),
            Err((held_by, queued)) => Attempt::Busy {
                held_by,
                place: queued.map(|entry| MemoryPlace::boxed(self.shared.clone(), request, entry)),
            },
        })
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        batch
            .iter()
            .map(|renewal| {
                Ok(self
                    .shared
                    .at(&renewal.name, |entry, now, _| entry.renew(renewal, now)))
            })
            .collect()
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        let removed = self
            .shared
            .at(name, |entry, now, _| entry.release(release, now));
        // Calls are atomic: what was called before has happened before.
        Ok(Released {
            removed,
            settled: true,
        })
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        Ok(self.shared.at(name, |entry, now, _| entry.inspect(now)))
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        Ok(self
            .shared
            .at(name, |entry, now, _| entry.force_release(now)))
    }

    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        let (events, locked) = self.shared.at(name, |entry, _, _| entry.watch());
        Ok(Some(MemoryWatch::boxed(
            self.shared.clone(),
            name.clone(),
            events,
            locked,
        )))
    }
}

/// There is no server that could fail.
const NO_SERVER: [(Property, FaultClass, Promise); 32] = {
    const PROPERTIES: [Property; 8] = [
        Property::BelievedExclusion,
        Property::AuthorityExclusion,
        Property::NoStaleEffect,
        Property::TokensRise,
        Property::OwnGrantOnly,
        Property::NoPhantom,
        Property::DeadlineBeforeExpiry,
        Property::LossNoticed,
    ];
    const FAULTS: [FaultClass; 4] = [
        FaultClass::ServerClockStep,
        FaultClass::ServerRestart,
        FaultClass::ServerLosesData,
        FaultClass::KeysDropped,
    ];
    let mut pairs = [(
        Property::BelievedExclusion,
        FaultClass::ServerRestart,
        Promise::NotApplicable,
    ); 32];
    let mut i = 0;
    while i < 32 {
        pairs[i] = (PROPERTIES[i / 4], FAULTS[i % 4], Promise::NotApplicable);
        i += 1;
    }
    pairs
};

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("names", &self.shared.state().names.len())
            .finish()
    }
}
