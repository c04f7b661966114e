//! A lock as one writes it in an afternoon: every call is one request, and whoever gives up leaves things as they are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlock_core::fence::{Stamp, Stamped};
use dlock_core::runtime::timeout;
use dlock_core::store::{
    Attempt, AttemptRequest, Granted, LockStore, Mode, Release, Renewal, Renewed, StoreError, Trail,
};
use dlock_core::{AttemptId, Grant, Instant, LockName, Terms};

use crate::client::{Holder, SimClient};
use crate::trace::Kind;
use crate::world::nanos;

/// How often who waits asks again.
const POLL: Duration = Duration::from_millis(100);

/// The locker.
#[derive(Clone)]
pub(crate) struct Simple {
    client: SimClient,
    store: Arc<dyn LockStore>,
    renews: bool,
    believes_again: bool,
    only_id: Option<AttemptId>,
}

impl Simple {
    pub fn new(client: &SimClient) -> Self {
        Self {
            client: client.clone(),
            store: client.store(),
            renews: false,
            believes_again: false,
            only_id: None,
        }
    }

    /// A task renews every lock until the server says that it is gone, or that it was released.
    pub fn renewing(mut self) -> Self {
        self.renews = true;
        self
    }

    /// It looks at its clock, but a renewal that succeeds after its time was over makes it believe again.
    pub fn believing_again(mut self) -> Self {
        self.believes_again = true;
        self
    }

    /// All locks of this process show the same owner.
    pub fn with_one_id(mut self) -> Self {
        self.only_id = Some(AttemptId::mint(&*self.client.runtime()));
        self
    }

    /// Asks until it is granted. An error of the store, or the end of the time, is the end of it.
    pub async fn acquire(&self, name: &str, wait: Option<Duration>) -> Option<SimpleGuard> {
        let name = LockName::new(name).ok()?;
        let op = self.client.machine().recorder().next_op();
        self.record(Kind::Acquire {
            op,
            name: name.to_string(),
            trying: false,
            wait_ns: wait.map(nanos),
        });
        let mut asked = Asked {
            simple: self,
            op,
            over: false,
        };
        let runtime = self.client.runtime();
        let until = wait.map_or(Instant::FAR_FUTURE, |wait| runtime.now() + wait);
        let why = match timeout(&*runtime, until, self.ask(&name)).await {
            Ok(Ok((granted, deadline))) => {
                asked.over = true;
                return Some(SimpleGuard::begin(self, name, granted, deadline, op));
            }
            Ok(Err(_)) => "store",
            Err(_) => "timed_out",
        };
        asked.over = true;
        self.record(Kind::NotGranted {
            op,
            why: why.to_owned(),
        });
        None
    }

    async fn ask(&self, name: &LockName) -> Result<(Granted, Instant), StoreError> {
        let ttl = self.client.ttl();
        let id = self
            .only_id
            .unwrap_or_else(|| AttemptId::mint(&*self.client.runtime()));
        let request = AttemptRequest::new(name.clone(), id, ttl, Mode::Queue);
        loop {
            let deadline = self.deadline(ttl);
            match self.store.attempt(&request).await? {
                Attempt::Granted(granted) => return Ok((granted, deadline)),
                _ => self.client.sleep(POLL).await,
            }
        }
    }

    /// Of a request that leaves now (R1).
    fn deadline(&self, ttl: Duration) -> Instant {
        Terms::default().deadline(self.client.machine().now(), ttl)
    }

    fn record(&self, kind: Kind) {
        self.client.machine().record(kind);
    }
}

/// User code waits; dropped before it is over, it does not any more.
struct Asked<'a> {
    simple: &'a Simple,
    op: u64,
    over: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.simple.record(Kind::Abandoned { op: self.op });
        }
    }
}

/// What user code has. Dropping it does nothing.
pub(crate) struct SimpleGuard {
    held: Arc<Held>,
}

struct Held {
    simple: Simple,
    name: LockName,
    grant: Grant,
    deadline: Mutex<Instant>,
    over: AtomicBool,
    renewed_no_more: AtomicBool,
}

impl SimpleGuard {
    fn begin(
        simple: &Simple,
        name: LockName,
        granted: Granted,
        deadline: Instant,
        op: u64,
    ) -> Self {
        let grant = granted.grant;
        let holder = Holder {
            attempt: grant.hash().to_string(),
            token: grant.token.value(),
        };
        let newest = simple.client.newest_slot();
        *newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(holder.clone());
        simple.record(Kind::Granted {
            op,
            name: name.to_string(),
            attempt: holder.attempt,
            token: holder.token,
            ttl_ns: nanos(simple.client.ttl()),
            deadline_local_ns: deadline.as_nanos(),
        });
        let held = Arc::new(Held {
            simple: simple.clone(),
            name,
            grant,
            deadline: Mutex::new(deadline),
            over: AtomicBool::new(false),
            renewed_no_more: AtomicBool::new(false),
        });
        if simple.renews {
            let renewed = held.clone();
            simple.client.spawn(async move { renewed.keep().await });
        }
        Self { held }
    }

    /// Whether the lock is still held, as far as the client knows.
    pub fn check(&self) -> bool {
        let held = &self.held;
        !held.over.load(Ordering::Acquire) && held.simple.client.machine().now() < *held.deadline()
    }

    /// Asks for more time, once; whether the server said yes.
    pub async fn extend(&self, ttl: Duration) -> bool {
        matches!(self.held.renew(ttl).await, Ok(Renewed::Until(_)))
    }

    /// Forgets the lock, and then sends the release, once.
    pub fn release(&self) -> impl Future<Output = Result<(), StoreError>> {
        let held = self.held.clone();
        held.end("released");
        async move {
            let release = Release::Grant(held.grant, Trail::default());
            held.simple.store.release(&held.name, &release).await?;
            held.renewed_no_more.store(true, Ordering::Release);
            Ok(())
        }
    }
}

impl Stamped for SimpleGuard {
    fn stamp(&self) -> Stamp {
        self.held.grant.stamp()
    }
}

impl Held {
    async fn keep(self: Arc<Self>) {
        let client = &self.simple.client;
        let mut pause = client.ttl() / 3;
        loop {
            client.sleep(pause).await;
            if self.renewed_no_more.load(Ordering::Acquire) {
                return;
            }
            pause = match self.renew(client.ttl()).await {
                Ok(Renewed::NotOwner) => return self.end("not_owner"),
                Ok(_) => client.ttl() / 3,
                Err(_) => client.ttl() / 6,
            };
        }
    }

    async fn renew(&self, ttl: Duration) -> Result<Renewed, StoreError> {
        let deadline = self.simple.deadline(ttl);
        let batch = [Renewal::new(self.name.clone(), self.grant, ttl)];
        let answer = self.simple.store.renew(&batch).await.pop();
        let renewed = answer.unwrap_or_else(|| Err(StoreError::indeterminate("no answer")))?;
        if matches!(renewed, Renewed::Until(_)) {
            self.moved(deadline);
        }
        Ok(renewed)
    }

    fn moved(&self, to: Instant) {
        let mut deadline = self.deadline();
        let is_late = self.simple.client.machine().now() >= *deadline;
        // What has run out stays so.
        if is_late && !self.simple.believes_again
            || to <= *deadline
            || self.over.load(Ordering::Acquire)
        {
            return;
        }
        *deadline = to;
        self.simple.record(Kind::DeadlineMoved {
            name: self.name.to_string(),
            attempt: self.grant.hash().to_string(),
            token: self.grant.token.value(),
            deadline_local_ns: to.as_nanos(),
        });
    }

    fn end(&self, how: &str) {
        if !self.over.swap(true, Ordering::AcqRel) {
            self.simple.record(Kind::BeliefEnds {
                name: self.name.to_string(),
                attempt: self.grant.hash().to_string(),
                token: self.grant.token.value(),
                how: how.to_owned(),
            });
        }
    }

    fn deadline(&self) -> MutexGuard<'_, Instant> {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
