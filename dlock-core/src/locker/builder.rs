use std::sync::Arc;
use std::time::Duration;

use super::inner::Inner;
use super::{Guard, RetryPolicy};
use crate::error::{AcquireError, InvalidRequest};
use crate::store::Mode;
use crate::{LockName, OwnerLabel};

/// One lock to acquire; made by [`Locker::lock`](super::Locker::lock).
#[derive(Clone)]
#[must_use = "nothing happens until acquire(), try_acquire() or run()"]
pub struct LockBuilder {
    pub(super) inner: Arc<Inner>,
    pub(super) name: Result<LockName, InvalidRequest>,
    pub(super) ttl: Duration,
    pub(super) wait: Option<Duration>,
    pub(super) retry: Option<RetryPolicy>,
    pub(super) renew: bool,
    pub(super) label: OwnerLabel,
}

impl LockBuilder {
    pub(super) fn new(inner: Arc<Inner>, name: Result<LockName, InvalidRequest>) -> Self {
        let label = inner.options.label.clone();
        Self {
            inner,
            name,
            ttl: Duration::from_secs(30),
            wait: None,
            retry: None,
            renew: true,
            label,
        }
    }

    /// How long the lease lasts without renewal. Default 30 s. Outside what the store can do it is
    /// refused, never changed (R16); rounding shows on the guard.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The longest to wait for the lock, store trouble included. Default: without limit.
    pub fn wait(mut self, budget: Duration) -> Self {
        self.wait = Some(budget);
        self
    }

    /// How often to ask for a busy lock. See [`RetryPolicy`].
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// Whether the lease is renewed in the background at a third of its TTL. Default: yes. Without
    /// it the lock ends at its deadline, unless `extend` is called.
    pub fn auto_renew(mut self, renew: bool) -> Self {
        self.renew = renew;
        self
    }

    /// What people see as the owner of this lock. Default: the locker's.
    pub fn label(mut self, label: OwnerLabel) -> Self {
        self.label = label;
        self
    }

    /// Waits for the lock. Give the guard a name: `let _ = …` drops it at once.
    ///
    /// The guard has at least half of its TTL left (R8; the share is configurable). Without a wait
    /// budget it waits as long as somebody else holds the lock, but gives up when the store only
    /// fails for 30 s ([`outage`](super::LockerBuilder::outage)). Dropping the future leaves
    /// nothing behind but one clean-up request (R4).
    pub async fn acquire(self) -> Result<Guard, AcquireError> {
        let acquired = super::acquire::acquire(&self, Mode::Queue).await?;
        acquired.map_err(|busy| AcquireError::TimedOut {
            name: busy.name,
            waited: busy.waited,
            attempts: busy.attempts,
            held_by: busy.held_by,
        })
    }

    /// Asks once; `None` when somebody else holds the lock or is queued for it. Takes at most the
    /// request timeout. Cancel-safe as `acquire` is.
    pub async fn try_acquire(self) -> Result<Option<Guard>, AcquireError> {
        Ok(super::acquire::acquire(&self, Mode::Try).await?.ok())
    }
}
