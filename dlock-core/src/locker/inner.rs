use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::background::Background;
use super::options::{LockerBuilder, Options};
use super::scheduler::Scheduler;
use crate::error::InvalidRequest;
use crate::runtime::{Runtime, sleep_until, timeout};
use crate::store::{LockStore, Release, Released, StoreError};
use crate::{Instant, LockName, Observer};

/// What all handles of one locker share.
pub(super) struct Inner {
    pub(super) store: Arc<dyn LockStore>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) options: Options,
    pub(super) background: Arc<Background>,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    acquisitions: AtomicU64,
    closed: AtomicBool,
    closing: Notify,
}

impl Inner {
    pub(super) fn new(builder: LockerBuilder) -> Arc<Self> {
        let LockerBuilder {
            store,
            runtime,
            options,
            observer,
        } = builder;
        let background = Background::new(store.clone(), runtime.clone(), options.request_timeout);
        let scheduler = Scheduler::new(
            store.clone(),
            runtime.clone(),
            background.clone(),
            options.request_timeout,
        );
        Arc::new(Self {
            store,
            runtime,
            options,
            background,
            scheduler,
            observer,
            acquisitions: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            closing: Notify::new(),
        })
    }

    /// A number for one more acquisition.
    pub(super) fn next_acquisition(&self) -> u64 {
        self.acquisitions.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
        self.closing.notify_waiters();
    }

    /// R16: the TTL that the store will use, or a refusal before any I/O.
    pub(super) fn effective_ttl(&self, ttl: Duration) -> Result<Duration, InvalidRequest> {
        let support = self.store.capabilities().ttl;
        let Some(effective) = support.effective(ttl) else {
            return Err(InvalidRequest::TtlOutOfRange {
                ttl,
                min: support.min,
                max: support.max,
            });
        };
        if self.options.terms.validity(effective).is_zero() {
            return Err(InvalidRequest::TtlTooShort { ttl });
        }
        Ok(effective)
    }

    /// One request to the store, within the request timeout.
    pub(super) async fn ask<T>(
        &self,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.ask_until(Instant::FAR_FUTURE, request).await
    }

    /// One request to the store, within the request timeout and the caller's own time.
    pub(super) async fn ask_until<T>(
        &self,
        give_up_at: Instant,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let now = self.runtime.now();
        let limit = self.options.request_timeout.min(give_up_at.since(now));
        match timeout(&*self.runtime, now + limit, request).await {
            Ok(answer) => answer,
            Err(_) => Err(unanswered(limit)),
        }
    }

    /// Releases within the request timeout, again after a failure that may pass: a connection that
    /// broke while it was idle says so at its next use only. Beside the answer: the failures before
    /// it, because of which "not there" says less.
    pub(super) async fn release_patiently(
        &self,
        name: &LockName,
        release: &Release,
    ) -> Result<(Released, Option<StoreError>), StoreError> {
        let give_up_at = self.runtime.now() + self.options.request_timeout;
        let mut pause = Duration::from_millis(5);
        let mut failed: Option<StoreError> = None;
        loop {
            let request = self.store.release(name, release);
            let error = match self.ask_until(give_up_at, request).await {
                Ok(released) => return Ok((released, failed)),
                Err(error) => after(failed, error),
            };
            let again_at = self.runtime.now() + pause;
            if matches!(error, StoreError::Rejected { .. }) || again_at >= give_up_at {
                return Err(error);
            }
            tracing::debug!(lock = %name, %error, "releasing again");
            failed = Some(error);
            sleep_until(&*self.runtime, again_at).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Ends when the locker is closed.
    pub(super) async fn closing(&self) {
        let mut notified = pin!(self.closing.notified());
        notified.as_mut().enable();
        if !self.is_closed() {
            notified.await;
        }
    }
}

/// What is known after a failure and an earlier one of the same request: once it is not known whether
/// it was applied, no later refusal makes it known.
pub(super) fn after(earlier: Option<StoreError>, error: StoreError) -> StoreError {
    match (earlier, error) {
        (Some(StoreError::Indeterminate { .. }), error @ StoreError::Indeterminate { .. }) => error,
        (
            Some(StoreError::Indeterminate { .. }),
            StoreError::Unavailable { message, source } | StoreError::Rejected { message, source },
        ) => StoreError::Indeterminate {
            message: format!("a request was lost, and the next one failed: {message}"),
            source,
        },
        (_, error) => error,
    }
}

/// A request that got no answer within `limit`.
pub(super) fn unanswered(limit: Duration) -> StoreError {
    StoreError::indeterminate(format!(
        "no answer within {limit:?}: check that it runs and can be reached"
    ))
}
