use std::fmt;
use std::ops::Deref;

use super::lease::Lease;
use crate::Grant;
use crate::error::{Ended, LeaseError, LossCause};
use crate::store::{Release, Released, StoreError};

/// A held lock. Everything a [`Lease`] can do, plus its release.
///
/// Dropping it releases in the background, best effort while the runtime lives (R13); call
/// [`Guard::release`] to know that it happened, and [`Locker::close`](super::Locker::close) at the
/// end of `main`: a guard dropped as the last statement of `main` is not released before its TTL.
#[must_use = "the lock is released when the guard is dropped"]
pub struct Guard {
    lease: Lease,
}

impl Guard {
    pub(super) fn new(lease: Lease) -> Self {
        Self { lease }
    }

    /// Releases the lock and waits for the store's answer, at most the request timeout; within it,
    /// a request that failed is sent again.
    ///
    /// [`LeaseError::Lost`] when it was lost before: somebody else may have held the lock already.
    /// After [`LeaseError::Store`] nobody knows whether it was: no answer came in time, or it was
    /// gone when an answer came at last. Then, and when the future is dropped, the release goes on in
    /// the background.
    pub async fn release(self) -> Result<(), LeaseError> {
        let shared = &self.lease.shared;
        let inner = &shared.inner;
        // R6: nothing renews from here on, and the scheduler starts no release of its own.
        inner.scheduler.forget(shared.key);
        let in_time = shared.held.cell.is_ours_or_over(inner.runtime.now());
        // Nothing is believed any more either; `self` still sees to the release if we are dropped.
        let how = if in_time {
            Ended::Released
        } else {
            Ended::Lost(LossCause::Expired)
        };
        let known_before = !shared.held.cell.end(how);
        if let (true, Some(Ended::Lost(cause))) = (known_before, shared.held.cell.ended()) {
            return Err(self.lease.lost(cause));
        }
        let release = Release::Grant(shared.held.grant, shared.held.trail.clone());
        let (Released { removed, settled }, failed) = inner
            .release_patiently(&shared.held.name, &release)
            .await
            .map_err(|source| self.lease.store_error(source))?;
        if settled {
            shared.held.cell.take_cleanup();
        }
        tracing::debug!(lock = %shared.held.name, token = %shared.held.grant.token, removed, "released");
        if !in_time {
            return Err(self.lease.lost(LossCause::Expired));
        }
        if removed {
            return Ok(());
        }
        // Not there. Who has taken it away: our own request that was not answered, the end of the
        // TTL meanwhile, or somebody else long before?
        let ran_out = inner.runtime.now() >= shared.held.cell.deadline();
        Err(match failed {
            Some(source @ StoreError::Indeterminate { .. }) => self.lease.store_error(source),
            Some(source) if ran_out => self.lease.store_error(source),
            None if ran_out => self.lease.store_error(StoreError::indeterminate(
                "in time: the lease ran out meanwhile",
            )),
            _ => self.lease.lost(LossCause::NotOwner),
        })
    }

    /// Stops caring for the lock without releasing it, and returns the grant: for a holder that
    /// lives elsewhere and uses [`Locker::release`](super::Locker::release) and
    /// [`Locker::extend`](super::Locker::extend). It is not renewed any more.
    #[must_use = "nobody else can release the lock before its TTL ends"]
    pub fn into_grant(self) -> Grant {
        let shared = &self.lease.shared;
        shared.inner.scheduler.forget(shared.key);
        shared.held.cell.end(Ended::Released);
        shared.held.cell.take_cleanup();
        shared.held.grant
    }

    /// A handle to hand to tasks that check the lease; it does not keep the lock.
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }
}

impl Deref for Guard {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let shared = &self.lease.shared;
        shared.inner.scheduler.forget(shared.key);
        shared.held.cell.end(Ended::Released);
        if !shared.held.cell.take_cleanup() {
            return;
        }
        let release = Release::Grant(shared.held.grant, shared.held.trail.clone());
        shared.inner.background.release(
            shared.held.name.clone(),
            release,
            shared.held.cell.kept_until(),
        );
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&self.lease).finish()
    }
}
