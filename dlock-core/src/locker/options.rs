use std::sync::Arc;
use std::time::Duration;

use super::Locker;
use super::inner::Inner;
use crate::error::InvalidRequest;
use crate::lease::Terms;
use crate::runtime::{Runtime, TokioRuntime};
use crate::store::LockStore;
use crate::{Observer, OwnerLabel};

/// Settings of a [`Locker`]; made by [`Locker::builder`].
#[must_use = "nothing happens until build()"]
pub struct LockerBuilder {
    pub(super) store: Arc<dyn LockStore>,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) options: Options,
    pub(super) observer: Option<Arc<dyn Observer>>,
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) label: OwnerLabel,
    pub(super) terms: Terms,
    pub(super) min_validity: f64,
    pub(super) request_timeout: Duration,
    pub(super) outage: Duration,
    pub(super) close_budget: Duration,
}

impl LockerBuilder {
    pub(super) fn new(store: Arc<dyn LockStore>) -> Self {
        Self {
            store,
            runtime: Arc::new(TokioRuntime::new()),
            options: Options {
                label: OwnerLabel::host_and_pid(),
                terms: Terms::default(),
                min_validity: 0.5,
                request_timeout: Duration::from_secs(5),
                outage: Duration::from_secs(30),
                close_budget: Duration::from_secs(10),
            },
            observer: None,
        }
    }

    /// The clock, timers, tasks and randomness to use. Default: [`TokioRuntime`]. Give the same to
    /// the store.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = runtime;
        self
    }

    /// What people see as the owner. Default: `host:pid`; [`OwnerLabel::none`] stores nothing.
    pub fn label(mut self, label: OwnerLabel) -> Self {
        self.options.label = label;
        self
    }

    /// Clock drift and safety margin. Default: 1 % and 2 ms.
    pub fn terms(mut self, terms: Terms) -> Self {
        self.options.terms = terms;
        self
    }

    /// The share of its TTL that a new guard must have left (R8). Above 0, below 1; default 0.5.
    pub fn min_validity(mut self, share: f64) -> Self {
        self.options.min_validity = share;
        self
    }

    /// The longest that one request to the store may take before it counts as unanswered.
    /// Default 5 s. Also the budget of `try_acquire`, release and extend.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.options.request_timeout = timeout;
        self
    }

    /// How long an `acquire` without a wait budget goes on while the store only fails. Default 30 s.
    pub fn outage(mut self, patience: Duration) -> Self {
        self.options.outage = patience;
        self
    }

    /// How long [`Locker::close`] waits for background releases. Default 10 s.
    pub fn close_budget(mut self, budget: Duration) -> Self {
        self.options.close_budget = budget;
        self
    }

    /// Who hears what becomes of the locks. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Checks the settings and makes the locker. Does no I/O and spawns nothing.
    pub fn build(self) -> Result<Locker, InvalidRequest> {
        let share = self.options.min_validity;
        if !(share > 0.0 && share < 1.0) {
            return Err(InvalidRequest::OutOfRange {
                what: "a minimum validity",
                value: share.to_string(),
                remedy: "choose a share above 0 and below 1",
            });
        }
        if self.options.request_timeout.is_zero() {
            return Err(InvalidRequest::OutOfRange {
                what: "a request timeout",
                value: "0".to_owned(),
                remedy: "choose a time above 0",
            });
        }
        Ok(Locker {
            inner: Inner::new(self),
        })
    }
}
