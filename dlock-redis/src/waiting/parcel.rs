use std::fmt;
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dlock_core::Grant;
use dlock_core::runtime::{Race, race, sleep_until};
use futures_util::future::{BoxFuture, Shared};
use redis::Value;
use tokio::sync::oneshot;

use super::Waiting;
use crate::connection::Failure;

/// How long a release waits to be taken along, and then to be answered, before it looks after itself:
/// who waits in its place asks at once, unless its task is stuck or its future is not polled.
const PATIENCE: Duration = Duration::from_millis(10);

/// A release that the next in line takes along when it asks: one request hands the lock over.
pub(crate) struct Parcel {
    pub grant: Grant,
    carried: Arc<OnceLock<Carried>>,
    /// Dropped with the parcel, when all is over.
    _over: oneshot::Sender<()>,
}

/// The request with both of them. Either side can poll it, so it is sent and answered even if the
/// other goes away.
#[derive(Clone)]
pub(crate) struct Carried {
    pub flight: Flight,
    /// The connection it goes over.
    pub connection: Option<NonZeroU64>,
}

pub(crate) type Flight = Shared<BoxFuture<'static, Result<Value, Failure>>>;

impl Parcel {
    /// It goes with this request. The releaser is not woken before the parcel is dropped: it is the
    /// next one's turn.
    pub fn goes_with(&self, carried: Carried) {
        let _ = self.carried.set(carried);
    }
}

/// A release that was left for the next in line; dropped, it is taken back.
pub(crate) struct Posted<'a> {
    waiting: &'a Waiting,
    lock: &'a str,
    grant: Grant,
    carried: Arc<OnceLock<Carried>>,
    over: oneshot::Receiver<()>,
}

impl<'a> Posted<'a> {
    /// A parcel, and what its sender keeps of it.
    pub(super) fn new(waiting: &'a Waiting, lock: &'a str, grant: Grant) -> (Parcel, Self) {
        let carried = Arc::new(OnceLock::new());
        let (sender, over) = oneshot::channel();
        let parcel = Parcel {
            grant,
            carried: carried.clone(),
            _over: sender,
        };
        let posted = Self {
            waiting,
            lock,
            grant,
            carried,
            over,
        };
        (parcel, posted)
    }

    /// The request that has taken it along; nothing if none did.
    pub async fn carried(mut self) -> Option<Carried> {
        let runtime = &*self.waiting.runtime;
        let until = runtime.now() + PATIENCE;
        if let Race::Second(()) = race(&mut self.over, sleep_until(runtime, until)).await
            && !self.take_back()
            && self.carried.get().is_none()
        {
            // It was taken, and is not sent yet: a connection is being opened.
            let _ = (&mut self.over).await;
        }
        self.carried.get().cloned()
    }

    #[cfg(test)]
    pub fn is_over(&mut self) -> bool {
        self.over.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    fn take_back(&self) -> bool {
        self.waiting
            .with_line(self.lock, |line, _, _| line.take_back(self.grant))
            .unwrap_or(false)
    }
}

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        self.take_back();
    }
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parcel")
            .field("token", &self.grant.token)
            .finish_non_exhaustive()
    }
}
