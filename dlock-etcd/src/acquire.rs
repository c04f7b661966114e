use std::sync::Arc;

use std::time::Duration;

use async_trait::async_trait;
use dlock_core::Grant;
use dlock_core::runtime::timeout;
use dlock_core::store::{
    Attempt, AttemptRequest, Expiry, Granted, HeldBy, Mode, Place, StoreError,
};
use tokio::sync::SemaphorePermit;

use crate::candidate::{Candidate, Step};
use crate::entry::{Ahead, Entry};
use crate::failure::{Failure, Meaning};
use crate::inner::Inner;
use crate::lease::Lease;
use crate::recipe::{self, Entered, Look};
use crate::waiting::Next;

/// How often one call starts anew because its lease had ended, or its entry had gone.
const FRESH_STARTS: u32 = 4;

impl Inner {
    pub async fn attempt(
        self: &Arc<Self>,
        request: &AttemptRequest,
    ) -> Result<Attempt, StoreError> {
        let candidate = self
            .table
            .of(request, self.keys(&request.name), &self.minder);
        let mut failed = None;
        for _ in 0..FRESH_STARTS {
            let answer = match candidate.step() {
                Step::Enter => self.enter(request, &candidate).await,
                Step::Confirm { created, modified } => {
                    self.confirm(request, &candidate, (created, modified)).await
                }
                Step::Look { created } => self.look_again(&candidate, created).await,
                Step::Nothing => {
                    return Err(StoreError::unavailable(
                        "the attempt is being released: make another",
                    ));
                }
            };
            match answer {
                Ok(Some(attempt)) => return Ok(attempt),
                Ok(None) => failed = None,
                Err(failure) if failure.meaning == Meaning::NoSuchLease => {
                    self.start_anew(request, &candidate);
                    failed = Some(failure);
                }
                Err(failure) => {
                    self.forget_if_nothing_was_sent(&candidate);
                    return Err(failure.into());
                }
            }
        }
        Err(match failed {
            Some(failure) => failure.into(),
            None => StoreError::indeterminate("the queue changed with every look at it"),
        })
    }

    /// etcd reads a whole queue for each question about its order, so a crowd asks a few at a time. Nobody
    /// waits for long: who has a turn may not be polled any more.
    async fn turn_in_crowd(&self) -> Option<SemaphorePermit<'_>> {
        let until = self.runtime().now() + LONGEST_TURN;
        let turn = timeout(self.runtime(), until, self.crowd.acquire()).await;
        turn.ok().and_then(Result::ok)
    }

    /// R3: nobody releases an attempt that was refused.
    fn forget_if_nothing_was_sent(&self, candidate: &Arc<Candidate>) {
        if let Some(leases) = candidate.end_if_nothing_was_sent() {
            self.table.remove(candidate);
            leases.into_iter().for_each(|one| self.pool.give_back(one));
        }
    }

    /// `None`: it is to be asked again at once.
    async fn enter(
        self: &Arc<Self>,
        request: &AttemptRequest,
        candidate: &Arc<Candidate>,
    ) -> Result<Option<Attempt>, Failure> {
        let now = self.runtime().now();
        let lease = match candidate.lease(now) {
            Some(lease) => lease,
            None => {
                let lease = self.pool.take(request.ttl).await?;
                if let Some(old) = candidate.use_lease(&lease) {
                    self.pool.retire(&old);
                }
                lease
            }
        };
        let key = candidate.key();
        let own = candidate.own(&key, &lease);
        let fresh = candidate.is_clean();
        let asking = self.table.asks(&candidate.keys);
        let _turn = match asking.is_alone {
            true => None,
            false => self.turn_in_crowd().await,
        };
        let sending = candidate.sending();
        let answer = match request.mode {
            Mode::Try if fresh => recipe::enter_if_free(&self.members, &own).await,
            Mode::Try => recipe::enter_again_if_free(&self.members, &own).await,
            // A free lock costs etcd half as much if nobody asks to be queued for it.
            Mode::Queue if fresh && asking.is_alone => {
                match recipe::enter_if_free(&self.members, &own).await {
                    Ok(Entered::Busy { .. }) => recipe::queue(&self.members, &own).await,
                    answer => answer,
                }
            }
            Mode::Queue if asking.is_alone => recipe::enter(&self.members, &own).await,
            Mode::Queue => recipe::queue(&self.members, &own).await,
        };
        let answer = match answer {
            Err(failure) if failure.meaning == Meaning::Indeterminate => return Err(failure),
            answer => {
                sending.answered();
                answer
            }
        };
        match answer? {
            Entered::Granted { created } => self.granted(candidate, created, created),
            Entered::Queued { own, .. } if own.owner.id() != Some(candidate.id) => {
                // Never adopted: whatever it is, it is not ours.
                self.start_anew(request, candidate);
                Ok(None)
            }
            Entered::Queued { own, ahead } => {
                let now = self.runtime().now();
                let nobody = ahead.before.is_none();
                let first = ahead.first.clone();
                candidate.waits(own.created, own.modified, ahead, now);
                Ok((!nobody).then(|| self.queued(candidate, &lease, first.as_ref())))
            }
            Entered::Busy { first } => {
                self.forget_if_nothing_was_sent(candidate);
                Ok(Some(Attempt::Busy {
                    held_by: held_by(first.as_ref()),
                    place: None,
                }))
            }
        }
    }

    async fn confirm(
        self: &Arc<Self>,
        request: &AttemptRequest,
        candidate: &Arc<Candidate>,
        (created, modified): (i64, i64),
    ) -> Result<Option<Attempt>, Failure> {
        let Some(lease) = candidate.lease_in_use().filter(|lease| !lease.is_gone()) else {
            self.start_anew(request, candidate);
            return Ok(None);
        };
        let key = candidate.key();
        let own = candidate.own(&key, &lease);
        let sending = candidate.sending();
        let answer = recipe::confirm(&self.members, &own, (created, modified)).await;
        let answer = match answer {
            Err(failure) if failure.meaning == Meaning::Indeterminate => return Err(failure),
            answer => {
                sending.answered();
                answer
            }
        };
        match answer? {
            Look::Holding { modified } => {
                self.table.waits_no_more(&candidate.keys, created);
                self.pool.leave_alone(&lease);
                self.granted(candidate, created, modified)
            }
            Look::Waiting { modified, ahead } => {
                // A grace begins when we hear of its head.
                let now = self.runtime().now();
                let nobody = ahead.before.is_none();
                let first = ahead.first.clone();
                candidate.waits(created, modified, ahead, now);
                Ok((!nobody).then(|| self.queued(candidate, &lease, first.as_ref())))
            }
            Look::Gone => {
                self.start_anew(request, candidate);
                Ok(None)
            }
        }
    }

    /// A holder asks again, because an answer was lost.
    async fn look_again(
        self: &Arc<Self>,
        candidate: &Arc<Candidate>,
        created: i64,
    ) -> Result<Option<Attempt>, Failure> {
        let key = candidate.key();
        match recipe::look_at_all(&self.members, &candidate.keys, &key, created).await? {
            Look::Holding { modified } => self.granted(candidate, created, modified),
            // It was taken away. What comes next is another grant.
            Look::Waiting { .. } | Look::Gone => {
                let (lease, _) = candidate.lost_place();
                lease.iter().for_each(|lease| self.pool.retire(lease));
                Ok(None)
            }
        }
    }

    fn granted(
        &self,
        candidate: &Arc<Candidate>,
        created: i64,
        modified: i64,
    ) -> Result<Option<Attempt>, Failure> {
        let Some((token, renewed_from)) = candidate.granted(created, modified) else {
            return Err(Failure::garbled("a revision that is no token"));
        };
        Ok(Some(Attempt::Granted(Granted {
            grant: Grant {
                id: candidate.id,
                token,
            },
            // R1: the lease may be older than this attempt.
            expiry: Expiry::At(renewed_from),
        })))
    }

    fn queued(
        self: &Arc<Self>,
        candidate: &Arc<Candidate>,
        lease: &Arc<Lease>,
        first: Option<&Entry>,
    ) -> Attempt {
        let place = EtcdPlace::new(self, candidate, lease);
        Attempt::Busy {
            held_by: held_by(first),
            place: Some(Box::new(place)),
        }
    }

    /// The entry is gone: the next one stands at the end of the queue, under another lease.
    fn start_anew(&self, request: &AttemptRequest, candidate: &Candidate) {
        self.table
            .waits_no_more(&candidate.keys, candidate.created());
        let (lease, waited) = candidate.lost_place();
        if let Some(lease) = lease {
            self.pool.retire(&lease);
        }
        if waited {
            tracing::warn!(
                lock = %request.name,
                "lost its place in the queue (its lease ended or was revoked, or it did not take the lock in time); it queues again"
            );
        }
    }
}

fn held_by(first: Option<&Entry>) -> HeldBy {
    HeldBy::new(first.and_then(|entry| entry.owner.label()), None)
}

/// How long one waits for its turn to ask.
const LONGEST_TURN: Duration = Duration::from_secs(1);

/// After how many failures in a row the next attempt is to show the error.
const FAILURES: u32 = 3;

/// An entry in the queue. Its lease is kept alive while somebody has the place: an attempt that nobody
/// releases ends with its TTL.
struct EtcdPlace {
    inner: Arc<Inner>,
    candidate: Arc<Candidate>,
    lease: Arc<Lease>,
    created: i64,
}

impl EtcdPlace {
    fn new(inner: &Arc<Inner>, candidate: &Arc<Candidate>, lease: &Arc<Lease>) -> Self {
        let created = candidate.created();
        candidate.place_taken();
        inner.pool.tend(lease);
        let now = inner.runtime().now();
        inner.table.waits(&candidate.keys, created, now);
        Self {
            inner: inner.clone(),
            candidate: candidate.clone(),
            lease: lease.clone(),
            created,
        }
    }
}

impl Drop for EtcdPlace {
    fn drop(&mut self) {
        if self.candidate.place_left() {
            self.inner.pool.leave_alone(&self.lease);
            self.inner
                .table
                .waits_no_more(&self.candidate.keys, self.created);
        }
    }
}

#[async_trait]
impl Place for EtcdPlace {
    async fn wait(&mut self) {
        let Self {
            inner, candidate, ..
        } = self;
        let mut failures = 0;
        loop {
            let mut news = std::pin::pin!(candidate.news.notified());
            news.as_mut().enable();
            let now = inner.runtime().now();
            let created = candidate.created();
            let foremost = inner.table.is_foremost(&candidate.keys, created, now);
            let done = match candidate.next(&inner.hub, now, foremost) {
                Next::Ask => return,
                Next::Look => self::look(inner, candidate, false).await,
                Next::LookAtAll => self::look(inner, candidate, true).await,
                Next::PassOver(entry) => pass_over(inner, candidate, &entry).await,
                Next::Wait(until) => {
                    let _ = timeout(inner.runtime(), until, news).await;
                    continue;
                }
            };
            failures = if done { 0 } else { failures + 1 };
            if failures == FAILURES {
                // The next attempt shows the error.
                return;
            }
        }
    }
}

/// `false` when etcd did not answer.
async fn look(inner: &Inner, candidate: &Candidate, all: bool) -> bool {
    let _turn = match all {
        true => inner.turn_in_crowd().await,
        false => None,
    };
    let Some((created, known, looking)) = candidate.looking() else {
        return true;
    };
    let key = candidate.key();
    let answer = if all {
        recipe::look_at_all(&inner.members, &candidate.keys, &key, created).await
    } else {
        recipe::look(&inner.members, &candidate.keys, &key, created, &known).await
    };
    let now = inner.runtime().now();
    match answer {
        Ok(Look::Waiting { modified, ahead }) => candidate.looked(modified, ahead, looking, now),
        Ok(Look::Holding { modified }) => {
            candidate.looked(modified, Ahead::default(), looking, now);
        }
        Ok(Look::Gone) => candidate.not_there(),
        Err(failure) => {
            tracing::debug!(%failure, "a waiting attempt could not look");
            candidate.look_failed(now);
            return false;
        }
    }
    true
}

/// R11: a dead or frozen head delays the others no longer.
async fn pass_over(inner: &Inner, candidate: &Candidate, entry: &Entry) -> bool {
    match recipe::pass_over(&inner.members, entry).await {
        Ok(removed) => {
            tracing::debug!(
                removed,
                "an attempt that did not take the lock was passed over"
            );
            candidate.passed_over();
            true
        }
        Err(failure) => {
            tracing::debug!(%failure, "an attempt could not be passed over");
            candidate.look_failed(inner.runtime().now());
            false
        }
    }
}

impl std::fmt::Debug for EtcdPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EtcdPlace({:?})", self.candidate.id)
    }
}
