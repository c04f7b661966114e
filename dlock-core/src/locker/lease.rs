use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::inner::Inner;
use super::scheduler::{Held, LeaseKey, counted_from};
use crate::error::{Ended, LeaseError, LossCause};
use crate::fence::{Stamp, Stamped};
use crate::lease::{EndedWaiter, LeaseMachine, Life};
use crate::store::{Renewal, Renewed, StoreError};
use crate::{AttemptId, FencingToken, Grant, Instant, LockName};

/// A held lock, seen from the work it protects: cheap to clone, hand to tasks and ask. It does not
/// keep the lock: the [`Guard`](super::Guard), or the scoped form, does. (`guard.clone()` is such a
/// handle, too.)
#[derive(Clone)]
pub struct Lease {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) inner: Arc<Inner>,
    pub(super) held: Held,
    pub(super) key: LeaseKey,
    ttl_nanos: AtomicU64,
    attempts: u32,
    waited: Duration,
}

/// Where a lease stands (R15: suspended is not lost).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Ours.
    Held,
    /// Still ours, but renewal is failing: start nothing new.
    Suspended,
    /// Released, lost, or past its deadline.
    Ended,
}

impl Lease {
    pub(super) fn new(
        inner: Arc<Inner>,
        held: Held,
        machine: LeaseMachine,
        attempts: u32,
        waited: Duration,
    ) -> Self {
        let ttl_nanos = AtomicU64::new(nanos(machine.ttl()));
        let cared_for = Held {
            name: held.name.clone(),
            grant: held.grant,
            trail: held.trail.clone(),
            cell: held.cell.clone(),
        };
        let key = inner.scheduler.care_for(cared_for, machine);
        Self {
            shared: Arc::new(Shared {
                inner,
                held,
                key,
                ttl_nanos,
                attempts,
                waited,
            }),
        }
    }

    /// Ok until the deadline, an error from the first call past it (R7). Synchronous, a few
    /// nanoseconds: call it before each write.
    ///
    /// It cannot see a pause between the check and the write: send [`Lease::token`] with the write.
    pub fn check(&self) -> Result<(), LeaseError> {
        self.shared.inner.scheduler.ensure_not_orphaned();
        let now = self.shared.inner.runtime.now();
        if self.shared.held.cell.is_ours_or_over(now) {
            return Ok(());
        }
        match self.shared.held.cell.ended() {
            Some(Ended::Released) => Err(LeaseError::Released {
                name: self.name().clone(),
            }),
            Some(Ended::Lost(cause)) => Err(self.lost(cause)),
            // It was not granted: nobody has such a lease.
            None => Err(self.lost(LossCause::NotOwner)),
        }
    }

    /// Ok when at least `needed` is left and renewal is not failing.
    pub fn ensure(&self, needed: Duration) -> Result<(), LeaseError> {
        self.check()?;
        let left = self.remaining();
        if left < needed {
            return Err(LeaseError::TooLittleLeft {
                name: self.name().clone(),
                left,
                needed,
            });
        }
        match self.status() {
            Status::Suspended => Err(LeaseError::Suspended {
                name: self.name().clone(),
                left,
            }),
            Status::Held | Status::Ended => Ok(()),
        }
    }

    /// Where the lease stands now.
    pub fn status(&self) -> Status {
        let now = self.shared.inner.runtime.now();
        let cell = &self.shared.held.cell;
        if !cell.is_ours_or_over(now) {
            Status::Ended
        } else if cell.is_suspended(now) {
            Status::Suspended
        } else {
            Status::Held
        }
    }

    /// Waits for the end of the lease and says how it ended. A loss shows within 1 s of the
    /// process being able to run (R7). Cancel-safe.
    pub async fn ended(&self) -> Ended {
        let mut waiter = EndedWaiter::new(&self.shared.held.cell);
        poll_fn(|cx| {
            // The task that renews may have gone with its runtime.
            self.shared.inner.scheduler.ensure_running();
            waiter.poll(cx)
        })
        .await
    }

    /// The time to the deadline; zero when the lease has ended.
    pub fn remaining(&self) -> Duration {
        let cell = &self.shared.held.cell;
        match cell.life() {
            Life::Live => cell.deadline().since(self.shared.inner.runtime.now()),
            Life::Pending | Life::Ended => Duration::ZERO,
        }
    }

    /// Makes `ttl` the grant's TTL, for now and for later renewals. Returns the time to the
    /// deadline, which is never shortened (R6). Takes at most the request timeout; when the future
    /// is dropped, the store may have extended the lease and this side may not know.
    pub async fn extend(&self, ttl: Duration) -> Result<Duration, LeaseError> {
        self.check()?;
        let inner = &self.shared.inner;
        let ttl = inner.effective_ttl(ttl)?;
        let held = &self.shared.held;
        let renewal = Renewal::new(held.name.clone(), held.grant, ttl).trailing(held.trail.clone());
        let sent_at = inner.runtime.now();
        held.cell.sending(sent_at + ttl);
        match inner.renew_one(renewal, Instant::FAR_FUTURE).await {
            Ok(Renewed::Until(expiry)) => {
                self.shared.ttl_nanos.store(nanos(ttl), Ordering::Release);
                inner
                    .scheduler
                    .extended(self.shared.key, counted_from(expiry, sent_at), ttl);
                self.check()?;
                Ok(self.remaining())
            }
            Ok(Renewed::NotOwner) => {
                inner.scheduler.not_owner(self.shared.key);
                // Says so if it was released meanwhile.
                self.check()?;
                Err(self.lost(LossCause::NotOwner))
            }
            Err(source) => Err(self.store_error(source)),
        }
    }

    /// The lock.
    pub fn name(&self) -> &LockName {
        &self.shared.held.name
    }

    /// The fencing token: send it with every write.
    pub fn token(&self) -> FencingToken {
        self.shared.held.grant.token
    }

    /// The attempt's id. A secret.
    pub fn id(&self) -> AttemptId {
        self.shared.held.grant.id
    }

    /// The grant: id and token. A secret.
    pub fn grant(&self) -> Grant {
        self.shared.held.grant
    }

    /// The effective TTL (R16): what the store uses, after rounding and `extend`.
    pub fn ttl(&self) -> Duration {
        Duration::from_nanos(self.shared.ttl_nanos.load(Ordering::Acquire))
    }

    /// How often the store was asked until the grant (dist-lock's `acquiredOnAttempt`).
    pub fn attempts(&self) -> u32 {
        self.shared.attempts
    }

    /// How long the acquisition took (dist-lock's `acquireDelay`).
    pub fn waited(&self) -> Duration {
        self.shared.waited
    }

    pub(super) fn lost(&self, cause: LossCause) -> LeaseError {
        LeaseError::Lost {
            name: self.name().clone(),
            cause,
        }
    }

    pub(super) fn store_error(&self, source: StoreError) -> LeaseError {
        LeaseError::Store {
            name: self.name().clone(),
            source,
        }
    }
}

impl Stamped for Lease {
    fn stamp(&self) -> Stamp {
        self.shared.held.grant.stamp()
    }

    fn lock(&self) -> Option<&LockName> {
        Some(self.name())
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("name", self.name())
            .field("id", &self.id())
            .field("token", &self.token())
            .field("status", &self.status())
            .field("remaining", &self.remaining())
            .finish()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
