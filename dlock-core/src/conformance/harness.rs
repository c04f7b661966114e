use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::client::Client;
use super::factory::StoreFactory;
use super::spy::Spy;
use super::verdict::{Stop, Verdict};
use crate::runtime::{Runtime, sleep_until};
use crate::{Instant, LockName, Locker, LockerBuilder, OwnerLabel};

/// How long to wait for what must happen, where no rule says how soon.
pub(super) const EVENTUALLY: Duration = Duration::from_secs(10);

/// The pause between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// What a case has in hand: names of its own, clients, time.
pub(super) struct Harness<'a> {
    factory: &'a dyn StoreFactory,
    runtime: Arc<dyn Runtime>,
    case: &'static str,
}

impl<'a> Harness<'a> {
    pub(super) fn new(factory: &'a dyn StoreFactory, case: &'static str) -> Self {
        Self {
            factory,
            runtime: factory.runtime(),
            case,
        }
    }

    /// Text that no other case and no other run uses.
    pub(super) fn unique(&self) -> String {
        format!("{}-{:016x}", self.case, self.runtime.random())
    }

    /// A name that nobody has locked before.
    pub(super) fn name(&self) -> Result<LockName, Stop> {
        self.named(self.unique())
    }

    pub(super) fn named(&self, text: impl AsRef<str>) -> Result<LockName, Stop> {
        LockName::new(text).map_err(|error| Stop::error("making a name", error))
    }

    /// One more client of the store.
    pub(super) async fn client(&self) -> Result<Client, Stop> {
        let store = self
            .factory
            .connect()
            .await
            .map_err(|error| Stop::error("connecting a client", error))?;
        Ok(Client::new(store, self.runtime.clone()))
    }

    /// A locker on one more client, labelled `locker`.
    pub(super) async fn locker(&self) -> Result<Locker, Stop> {
        Ok(self.spied_locker().await?.0)
    }

    /// The same, and a spy that tells when one of its attempts was refused.
    pub(super) async fn spied_locker(&self) -> Result<(Locker, Arc<Spy>), Stop> {
        let store = self
            .factory
            .connect()
            .await
            .map_err(|error| Stop::error("connecting a locker", error))?;
        let spy = Arc::new(Spy::new(store));
        let locker = self
            .settings(Locker::builder(spy.clone()))
            .build()
            .map_err(|error| Stop::error("building a locker", error))?;
        Ok((locker, spy))
    }

    fn settings(&self, builder: LockerBuilder) -> LockerBuilder {
        builder
            .runtime(self.runtime.clone())
            .label(OwnerLabel::new("locker"))
    }

    pub(super) fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    pub(super) fn now(&self) -> Instant {
        self.runtime.now()
    }

    pub(super) async fn sleep_until(&self, until: Instant) {
        sleep_until(&*self.runtime, until).await;
    }

    pub(super) fn patience(&self, bound: Duration) -> Patience {
        Patience::new(self.runtime.clone(), bound)
    }

    /// Runs a part of the case at the same time as the rest.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        part: impl Future<Output = Result<T, Stop>> + Send + 'static,
    ) -> Part<T> {
        let (done, outcome) = oneshot::channel();
        self.runtime.spawn(Box::pin(async move {
            let _ = done.send(part.await);
        }));
        Part { outcome }
    }
}

/// A part of a case that runs beside it.
pub(super) struct Part<T> {
    outcome: oneshot::Receiver<Result<T, Stop>>,
}

impl<T> Part<T> {
    pub(super) async fn join(self) -> Result<T, Stop> {
        self.outcome.await.unwrap_or_else(|_| {
            Err(Stop::failed(
                "a part of the case was dropped by its runtime",
            ))
        })
    }
}

/// Looks again and again, for so long.
pub(super) struct Patience {
    runtime: Arc<dyn Runtime>,
    bound: Duration,
    ends_at: Instant,
}

impl Patience {
    pub(super) fn new(runtime: Arc<dyn Runtime>, bound: Duration) -> Self {
        let ends_at = runtime.now() + bound;
        Self {
            runtime,
            bound,
            ends_at,
        }
    }

    /// Pauses before the next look, or fails the case: `awaited` did not come.
    pub(super) async fn pause(&self, awaited: &str) -> Verdict {
        if self.runtime.now() >= self.ends_at {
            return Err(Stop::failed(format!(
                "{awaited}: waited for it {:?} in vain",
                self.bound
            )));
        }
        self.runtime.sleep(BETWEEN_LOOKS).await;
        Ok(())
    }
}
