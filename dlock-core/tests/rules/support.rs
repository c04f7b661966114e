//! A locker on the memory store, in virtual time, with faults between the two.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dlock_core::conformance::VirtualRuntime;
use dlock_core::runtime::Runtime;
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Inspection, LockStore, Release, Released, Renewal,
    Renewed, StoreError, Watch,
};
use dlock_core::{LockName, Locker, LockerBuilder, MemoryStore};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);

/// One seeded world: a store, and lockers (one for each "process").
pub struct World {
    pub runtime: Arc<VirtualRuntime>,
    /// The store without faults.
    pub store: MemoryStore,
    /// The same store behind the faults.
    pub faulty: Arc<Faulty>,
}

impl World {
    pub fn new() -> Self {
        let runtime = Arc::new(VirtualRuntime::new(1));
        let store = MemoryStore::with_runtime(runtime.clone());
        let faulty = Arc::new(Faulty::new(store.clone(), runtime.clone()));
        Self {
            runtime,
            store,
            faulty,
        }
    }

    /// A locker behind the faults.
    pub fn locker(&self) -> Locker {
        self.builder().build().unwrap()
    }

    pub fn builder(&self) -> LockerBuilder {
        Locker::builder(self.faulty.clone()).runtime(self.runtime.clone())
    }

    /// Another process, without faults.
    pub fn other(&self) -> Locker {
        Locker::builder(self.store.clone())
            .runtime(self.runtime.clone())
            .build()
            .unwrap()
    }

    pub async fn is_held(&self, name: &str) -> bool {
        self.store
            .inspect(&LockName::new(name).unwrap())
            .await
            .unwrap()
            .is_some()
    }

    pub async fn waiters(&self, name: &str) -> u64 {
        let seen = self
            .store
            .inspect(&LockName::new(name).unwrap())
            .await
            .unwrap();
        seen.and_then(|seen| seen.waiters).unwrap_or(0)
    }

    /// Lets `duration` of virtual time pass.
    pub async fn pass(&self, duration: Duration) {
        self.runtime.sleep(duration).await;
    }

    /// Lets every task that can run, run; no time passes beyond a microsecond.
    pub async fn settle(&self) {
        self.runtime.sleep(Duration::from_micros(1)).await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Attempt,
    Renew,
    Release,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    None,
    /// It reaches the store late.
    SlowRequest(Duration),
    /// The answer comes late.
    SlowReply(Duration),
    /// It never reaches the store; the caller learns nothing.
    RequestLost,
    /// It is applied; the caller learns nothing.
    ReplyLost,
    /// It is answered now, and applied a second time this much later.
    Duplicated(Duration),
    /// It is applied; nothing ever comes back.
    ReplyHangs,
    /// Nothing ever comes back.
    Hangs,
    Unavailable,
    Rejected,
}

/// The memory store behind scripted faults; counts calls.
pub struct Faulty {
    store: MemoryStore,
    runtime: Arc<VirtualRuntime>,
    scripts: Mutex<[(VecDeque<Fault>, Fault); 3]>,
    counts: [AtomicU32; 3],
    pub capabilities: Mutex<Option<Capabilities>>,
}

impl Faulty {
    fn new(store: MemoryStore, runtime: Arc<VirtualRuntime>) -> Self {
        let scripts = Mutex::new(std::array::from_fn(|_| (VecDeque::new(), Fault::None)));
        Self {
            store,
            runtime,
            scripts,
            counts: Default::default(),
            capabilities: Mutex::default(),
        }
    }

    /// The next calls of this kind meet these faults, one each.
    pub fn next(&self, call: Call, faults: impl IntoIterator<Item = Fault>) {
        self.scripts.lock().unwrap()[call as usize].0.extend(faults);
    }

    /// All calls of this kind meet this fault, once the scripted ones are used up.
    pub fn always(&self, call: Call, fault: Fault) {
        self.scripts.lock().unwrap()[call as usize].1 = fault;
    }

    /// All calls of every kind.
    pub fn everything(&self, fault: Fault) {
        for call in [Call::Attempt, Call::Renew, Call::Release] {
            self.always(call, fault);
        }
    }

    pub fn count(&self, call: Call) -> u32 {
        self.counts[call as usize].load(Ordering::SeqCst)
    }

    fn fault(&self, call: Call) -> Fault {
        self.counts[call as usize].fetch_add(1, Ordering::SeqCst);
        let mut scripts = self.scripts.lock().unwrap();
        let (next, always) = &mut scripts[call as usize];
        next.pop_front().unwrap_or(*always)
    }

    async fn through<T, F>(
        &self,
        call: Call,
        request: impl Fn(MemoryStore) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let lost = || StoreError::indeterminate("scripted");
        match self.fault(call) {
            Fault::None => Ok(request(self.store.clone()).await),
            Fault::SlowRequest(delay) => {
                self.runtime.sleep(delay).await;
                Ok(request(self.store.clone()).await)
            }
            Fault::SlowReply(delay) => {
                let answer = request(self.store.clone()).await;
                self.runtime.sleep(delay).await;
                Ok(answer)
            }
            Fault::RequestLost => Err(lost()),
            Fault::ReplyLost => {
                request(self.store.clone()).await;
                Err(lost())
            }
            Fault::Duplicated(delay) => {
                self.later(delay, request(self.store.clone()));
                Ok(request(self.store.clone()).await)
            }
            Fault::ReplyHangs => {
                request(self.store.clone()).await;
                std::future::pending().await
            }
            Fault::Hangs => std::future::pending().await,
            Fault::Unavailable => Err(StoreError::unavailable("scripted")),
            Fault::Rejected => Err(StoreError::rejected("scripted")),
        }
    }

    fn later<T: Send + 'static>(
        &self,
        delay: Duration,
        request: impl Future<Output = T> + Send + 'static,
    ) {
        let runtime = self.runtime.clone();
        self.runtime.spawn(Box::pin(async move {
            runtime.sleep(delay).await;
            request.await;
        }));
    }
}

#[async_trait]
impl LockStore for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
            .lock()
            .unwrap()
            .clone()
            .unwrap_or_else(|| self.store.capabilities())
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let request = request.clone();
        self.through(Call::Attempt, |store| {
            let request = request.clone();
            async move { store.attempt(&request).await }
        })
        .await?
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        let owned = batch.to_vec();
        let answers = self.through(Call::Renew, |store| {
            let batch = owned.clone();
            async move { store.renew(&batch).await }
        });
        match answers.await {
            Ok(answers) => answers,
            Err(StoreError::Unavailable { .. }) => batch
                .iter()
                .map(|_| Err(StoreError::unavailable("scripted")))
                .collect(),
            Err(StoreError::Rejected { .. }) => batch
                .iter()
                .map(|_| Err(StoreError::rejected("scripted")))
                .collect(),
            Err(_) => batch
                .iter()
                .map(|_| Err(StoreError::indeterminate("scripted")))
                .collect(),
        }
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        let (name, release) = (name.clone(), release.clone());
        self.through(Call::Release, |store| {
            let (name, release) = (name.clone(), release.clone());
            async move { store.release(&name, &release).await }
        })
        .await?
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        self.store.inspect(name).await
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        self.store.force_release(name).await
    }

    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        self.store.watch(name).await
    }
}
