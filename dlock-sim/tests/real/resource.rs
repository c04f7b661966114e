//! The protected resources, one for each lock, each behind a fence, reached by TCP: a line for a question, a line for
//! the answer.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use dlock_core::fence::{Fence, Stamp};
use dlock_core::{FencingToken, GrantHash};
use dlock_sim::trace::{Kind, ProcessRecorder, StorageAccess};
use serde_json::Value;

pub const STORAGE: &str = "storage";
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    recorder: ProcessRecorder,
}

#[derive(Default)]
struct State {
    fences: BTreeMap<String, Fence>,
    /// Accepted writes of each worker.
    writes: BTreeMap<String, u64>,
    /// The worker whose next claim is to be held back, and that claim.
    wanted: Option<String>,
    caught: Option<Claim>,
    /// The caught claim's answer may go out.
    released: bool,
}

#[derive(Clone)]
pub struct Claim {
    resource: String,
    token: u64,
}

impl Ledger {
    pub fn open(recorder: ProcessRecorder) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            recorder,
        });
        let served = shared.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let shared = served.clone();
                std::thread::spawn(move || serve(&shared, &connection));
            }
        });
        Self { shared, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Until this worker has written so many times more.
    pub fn wait_for(&self, worker: &str, more: u64) {
        let written = |state: &State| state.writes.get(worker).copied().unwrap_or(0);
        let goal = written(&self.shared.state()) + more;
        self.until("a worker writes", |state| {
            (written(state) >= goal).then_some(())
        });
    }

    /// Until somebody with a newer token has claimed the same resource.
    pub fn wait_for_newer(&self, claim: &Claim) {
        self.until("somebody takes over", |state| {
            let newest = state.fences.get(&claim.resource)?.newest()?;
            (newest.token.value() > claim.token).then_some(())
        });
    }

    /// Holds back the answer to this worker's next claim, until [`Ledger::answer`].
    pub fn hold_next_claim(&self, worker: &str) -> Claim {
        self.shared.state().wanted = Some(worker.to_owned());
        self.until("it claims", |state| state.caught.take())
    }

    pub fn answer(&self) {
        self.shared.state().released = true;
        self.shared.changed.notify_all();
    }

    fn until<T>(&self, what: &str, ready: impl FnMut(&mut State) -> Option<T>) -> T {
        self.shared.until(what, ready)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn until<T>(&self, what: &str, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        let limit = Instant::now() + PATIENCE;
        let mut state = self.state();
        loop {
            if let Some(ready) = ready(&mut state) {
                return ready;
            }
            assert!(Instant::now() < limit, "not within {PATIENCE:?}: {what}");
            state = self
                .changed
                .wait_timeout(state, Duration::from_secs(1))
                .unwrap()
                .0;
        }
    }
}

fn serve(shared: &Shared, mut connection: &TcpStream) {
    let questions = BufReader::new(connection).lines();
    for line in questions.map_while(Result::ok) {
        // Whoever was killed may have left half a question.
        let Ok(asked) = serde_json::from_str::<Value>(&line) else {
            return;
        };
        let accepted = answer(shared, &asked);
        if connection
            .write_all(format!("{accepted}\n").as_bytes())
            .is_err()
        {
            return;
        }
    }
}

/// One question is decided, and recorded, at a time.
fn answer(shared: &Shared, asked: &Value) -> bool {
    let text = |field: &str| asked[field].as_str().unwrap().to_owned();
    let (resource, by, attempt) = (text("resource"), text("by"), text("attempt"));
    let token = asked["token"].as_u64().unwrap();
    let claims = asked["claims"].as_bool().unwrap();
    let stamp = Stamp {
        token: FencingToken::new(token).unwrap(),
        grant: GrantHash::parse(&attempt).unwrap(),
    };
    let mut state = shared.state();
    let fence = state.fences.entry(resource.clone()).or_default();
    let accepted = if claims {
        fence.claim(&stamp).is_ok()
    } else {
        fence.admit(&stamp).is_ok()
    };
    let newest = fence.newest().map(|newest| newest.token.value());
    let access = if claims {
        StorageAccess::Claim
    } else {
        StorageAccess::Write
    };
    shared.recorder.record(Kind::Storage {
        resource: resource.clone(),
        access,
        by: by.clone(),
        attempt: Some(attempt),
        token: Some(token),
        fenced: true,
        accepted,
        newest,
        value: Value::Null,
    });
    if accepted && !claims {
        *state.writes.entry(by.clone()).or_default() += 1;
    }
    let catch = accepted && claims && state.wanted.as_ref() == Some(&by);
    if catch {
        state.wanted = None;
        state.caught = Some(Claim { resource, token });
        state.released = false;
    }
    drop(state);
    shared.changed.notify_all();
    if catch {
        shared.until("it may be answered", |state| state.released.then_some(()));
    }
    accepted
}
