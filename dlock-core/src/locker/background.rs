//! Clean-up that outlives the call that made it necessary: indeterminate and cancelled attempts,
//! dropped guards, lost leases.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::inner::unanswered;
use crate::runtime::{Runtime, timeout};
use crate::store::{LockStore, Release, Released, StoreError};
use crate::{Instant, LockName};

pub(super) struct Background {
    store: Arc<dyn LockStore>,
    runtime: Arc<dyn Runtime>,
    request_timeout: Duration,
    /// Releases under way.
    pending: AtomicUsize,
    /// Acquisitions under way, which may leave something to release.
    acquiring: AtomicUsize,
    one_done: Notify,
}

/// How long [`Background::finish`] waits for acquisitions, which were told to end: an instant for
/// those that are polled, and no longer for those that are not.
const LAST_POLL: Duration = Duration::from_millis(100);

impl Background {
    pub(super) fn new(
        store: Arc<dyn LockStore>,
        runtime: Arc<dyn Runtime>,
        request_timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            runtime,
            request_timeout,
            pending: AtomicUsize::new(0),
            acquiring: AtomicUsize::new(0),
            one_done: Notify::new(),
        })
    }

    /// Releases until the answer is final, or until `give_up_at`: a TTL after the last send of the
    /// attempt, when the store has let go by itself (R3). Never blocks, never panics (R13).
    pub(super) fn release(self: &Arc<Self>, name: LockName, release: Release, give_up_at: Instant) {
        let counted = Counted::new(self.clone(), |background| &background.pending);
        let background = self.clone();
        self.runtime.spawn(Box::pin(async move {
            background.repeat(&name, release, give_up_at).await;
            drop(counted);
        }));
    }

    /// An acquisition, until the value is dropped.
    pub(super) fn acquiring(self: &Arc<Self>) -> Counted {
        Counted::new(self.clone(), |background| &background.acquiring)
    }

    /// Waits until nothing is pending, or until the time is over; returns what is left.
    pub(super) async fn finish(&self, until: Instant) -> usize {
        let last_poll = (self.runtime.now() + LAST_POLL).min(until);
        let _ = timeout(&*self.runtime, last_poll, self.none_left(&self.acquiring)).await;
        let _ = timeout(&*self.runtime, until, self.none_left(&self.pending)).await;
        self.pending.load(Ordering::Acquire)
    }

    async fn none_left(&self, count: &AtomicUsize) {
        loop {
            let mut notified = pin!(self.one_done.notified());
            notified.as_mut().enable();
            if count.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }

    async fn repeat(&self, name: &LockName, mut release: Release, give_up_at: Instant) {
        let mut pause = Duration::from_millis(10);
        loop {
            match self.once(name, &release).await {
                Ok(Released {
                    settled: true,
                    removed,
                }) => {
                    tracing::debug!(lock = %name, removed, "released in the background");
                    return;
                }
                Ok(Released { settled: false, .. }) => release = by_attempt(release),
                Err(error) => {
                    tracing::debug!(lock = %name, %error, "background release failed; it is repeated")
                }
            }
            if self.runtime.now() >= give_up_at {
                tracing::warn!(lock = %name, "background release gave up: the lock's TTL is over by now");
                return;
            }
            let jitter = pause.mul_f64((self.runtime.random() >> 11) as f64 / (1u64 << 53) as f64);
            self.runtime.sleep(pause / 2 + jitter / 2).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn once(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        let until = self.runtime.now() + self.request_timeout;
        match timeout(&*self.runtime, until, self.store.release(name, release)).await {
            Ok(answer) => answer,
            Err(_) => Err(unanswered(self.request_timeout)),
        }
    }
}

/// A late duplicate of the attempt may bring its id back with a new token: the id is looked for
/// from now on. It is ours alone and never used again.
fn by_attempt(release: Release) -> Release {
    match release {
        Release::Grant(grant, trail) => Release::Attempt(grant.id, trail),
        attempt @ Release::Attempt(..) => attempt,
    }
}

/// Counts from the moment it is made, even if the runtime drops the task unpolled.
pub(super) struct Counted {
    background: Arc<Background>,
    count: fn(&Background) -> &AtomicUsize,
}

impl Counted {
    fn new(background: Arc<Background>, count: fn(&Background) -> &AtomicUsize) -> Self {
        count(&background).fetch_add(1, Ordering::AcqRel);
        Self { background, count }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.count)(&self.background).fetch_sub(1, Ordering::AcqRel);
        self.background.one_done.notify_waiters();
    }
}
