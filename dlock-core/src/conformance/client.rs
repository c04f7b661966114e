use std::sync::Arc;
use std::time::Duration;

use super::harness::Patience;
use super::held::{Held, LATE_EXPIRY, LONG, Refused};
use super::verdict::{Stop, Verdict, ensure};
use crate::runtime::Runtime;
use crate::store::{
    Attempt, AttemptRequest, Capabilities, Expiry, Fairness, Inspection, LockStore, Mode, Release,
    Released, Renewal, Renewed, Trail,
};
use crate::{AttemptId, Grant, LockName, OwnerLabel};

/// One client of the store under test, and what a case asks of it. An error of the store fails the
/// case: nothing here disturbs the backend.
pub(super) struct Client {
    pub(super) store: Arc<dyn LockStore>,
    runtime: Arc<dyn Runtime>,
}

impl Client {
    pub(super) fn new(store: Arc<dyn LockStore>, runtime: Arc<dyn Runtime>) -> Self {
        Self { store, runtime }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    pub(super) fn needs_fencing(&self) -> Verdict {
        self.needs(
            self.capabilities().fencing,
            "its tokens are not declared to rise",
        )
    }

    pub(super) fn needs_push(&self) -> Verdict {
        self.needs(
            self.capabilities().push,
            "it does not declare to wake waiters",
        )
    }

    pub(super) fn needs_fairness(&self) -> Verdict {
        self.needs(
            self.capabilities().fairness != Fairness::None,
            "it declares no order of waiters",
        )
    }

    pub(super) fn needs(&self, declared: bool, otherwise: &str) -> Verdict {
        if declared {
            Ok(())
        } else {
            Err(Stop::skipped(format!(
                "{}: {otherwise}",
                self.capabilities().store
            )))
        }
    }

    /// What the store can do that is nearest to this TTL.
    pub(super) fn ttl(&self, wanted: Duration) -> Duration {
        let support = self.capabilities().ttl;
        let asked = wanted.min(support.max).max(support.min);
        support.effective(asked).unwrap_or(asked)
    }

    /// A new attempt with a [`LONG`] TTL.
    pub(super) fn request(&self, name: &LockName, mode: Mode) -> AttemptRequest {
        AttemptRequest::new(name.clone(), self.new_id(), self.ttl(LONG), mode)
            .labelled(OwnerLabel::new("case"))
    }

    pub(super) fn new_id(&self) -> AttemptId {
        AttemptId::mint(&*self.runtime)
    }

    pub(super) async fn attempt(
        &self,
        request: &AttemptRequest,
    ) -> Result<Result<Held, Refused>, Stop> {
        let sent_at = self.runtime.now();
        let answer = self
            .store
            .attempt(request)
            .await
            .map_err(|error| Stop::error("an attempt", error))?;
        let granted = match answer {
            Attempt::Granted(granted) => granted,
            Attempt::Busy { held_by, place } => return Ok(Err(Refused { held_by, place })),
        };
        ensure!(
            granted.grant.id == request.id,
            "the grant is for {}, the attempt was {}",
            granted.grant.id,
            request.id
        );
        let counted_from = match granted.expiry {
            Expiry::At(instant) => instant.min(sent_at),
            Expiry::ByThisCall | Expiry::ByEarlierCall => sent_at,
        };
        Ok(Ok(Held {
            name: request.name.clone(),
            grant: granted.grant,
            expiry: granted.expiry,
            ttl: request.ttl,
            label: request.label.clone(),
            trail: request.trail.clone(),
            counted_from,
            known_at: self.runtime.now(),
        }))
    }

    /// An attempt that must be granted.
    pub(super) async fn granted(&self, request: &AttemptRequest, when: &str) -> Result<Held, Stop> {
        match self.attempt(request).await? {
            Ok(held) => Ok(held),
            Err(Refused { held_by, .. }) => Err(Stop::failed(format!(
                "no grant {when}, but busy: {held_by:?}"
            ))),
        }
    }

    /// An attempt that must be refused.
    pub(super) async fn refused(
        &self,
        request: &AttemptRequest,
        when: &str,
    ) -> Result<Refused, Stop> {
        match self.attempt(request).await? {
            Ok(held) => Err(Stop::failed(format!(
                "a grant with token {} {when}",
                held.token()
            ))),
            Err(refused) => Ok(refused),
        }
    }

    /// Takes a free lock with (about) this TTL.
    pub(super) async fn lock(&self, name: &LockName, ttl: Duration) -> Result<Held, Stop> {
        let request = AttemptRequest {
            ttl: self.ttl(ttl),
            ..self.request(name, Mode::Try)
        };
        self.granted(&request, "of a free lock").await
    }

    /// Takes the lock as a locker would: asks, waits where the store says, asks again.
    pub(super) async fn acquire(&self, request: &AttemptRequest) -> Result<Held, Stop> {
        loop {
            match self.attempt(request).await? {
                Ok(held) => return Ok(held),
                Err(Refused {
                    place: Some(mut place),
                    ..
                }) => place.wait().await,
                Err(Refused { place: None, .. }) => {
                    self.runtime.sleep(Duration::from_millis(20)).await
                }
            }
        }
    }

    /// Releases a grant. Whether anything was removed.
    pub(super) async fn release(&self, held: &Held) -> Result<bool, Stop> {
        Ok(self
            .ask_release(&held.name, Release::Grant(held.grant, held.trail.clone()))
            .await?
            .removed)
    }

    /// Releases a grant as somebody who has no more than its name, id and token.
    pub(super) async fn release_grant(&self, name: &LockName, grant: Grant) -> Result<bool, Stop> {
        Ok(self
            .ask_release(name, Release::Grant(grant, Trail::default()))
            .await?
            .removed)
    }

    /// Releases whatever the attempt has.
    pub(super) async fn release_attempt(&self, request: &AttemptRequest) -> Result<bool, Stop> {
        let release = Release::Attempt(request.id, request.trail.clone());
        Ok(self.ask_release(&request.name, release).await?.removed)
    }

    async fn ask_release(&self, name: &LockName, release: Release) -> Result<Released, Stop> {
        self.store
            .release(name, &release)
            .await
            .map_err(|error| Stop::error("a release", error))
    }

    pub(super) async fn renew(&self, held: &Held, ttl: Duration) -> Result<Renewed, Stop> {
        let renewal =
            Renewal::new(held.name.clone(), held.grant, self.ttl(ttl)).trailing(held.trail.clone());
        self.renew_one(renewal).await
    }

    /// Renews a grant as somebody who has no more than its name, id and token.
    pub(super) async fn renew_grant(&self, name: &LockName, grant: Grant) -> Result<Renewed, Stop> {
        self.renew_one(Renewal::new(name.clone(), grant, self.ttl(LONG)))
            .await
    }

    async fn renew_one(&self, renewal: Renewal) -> Result<Renewed, Stop> {
        let answers = self.renew_batch(&[renewal]).await?;
        answers
            .first()
            .copied()
            .ok_or_else(|| Stop::failed("one renewal got no answer"))
    }

    pub(super) async fn renew_batch(&self, batch: &[Renewal]) -> Result<Vec<Renewed>, Stop> {
        let answers = self.store.renew(batch).await;
        ensure!(
            answers.len() == batch.len(),
            "{} renewals got {} answers",
            batch.len(),
            answers.len()
        );
        answers
            .into_iter()
            .map(|answer| answer.map_err(|error| Stop::error("a renewal", error)))
            .collect()
    }

    pub(super) async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, Stop> {
        self.store
            .inspect(name)
            .await
            .map_err(|error| Stop::error("an inspection", error))
    }

    pub(super) async fn force_release(&self, name: &LockName) -> Result<bool, Stop> {
        self.store
            .force_release(name)
            .await
            .map_err(|error| Stop::error("a forced release", error))
    }

    pub(super) async fn expect_free(&self, name: &LockName, when: &str) -> Verdict {
        let seen = self.inspect(name).await?;
        ensure!(seen.is_none(), "the lock is not free {when}: {seen:?}");
        Ok(())
    }

    /// Looks at a lock that must be held by this very grant.
    pub(super) async fn expect_held(&self, held: &Held, when: &str) -> Result<Inspection, Stop> {
        match self.inspect(&held.name).await? {
            Some(seen) if seen.token == Some(held.token()) => Ok(seen),
            other => Err(Stop::failed(format!(
                "the lock is not held by its grant with token {} {when}, but: {other:?}",
                held.token()
            ))),
        }
    }

    /// How long a held lock lasts; every grant of ours has an end.
    pub(super) async fn time_left(&self, held: &Held, when: &str) -> Result<Duration, Stop> {
        let seen = self.expect_held(held, when).await?;
        seen.time_left
            .ok_or_else(|| Stop::failed(format!("the lease has no end {when}")))
    }

    /// Waits until the lease has ended by itself: not before its TTL is over, and not much later.
    pub(super) async fn until_expired(&self, held: &Held) -> Verdict {
        let patience = Patience::new(self.runtime.clone(), held.ttl + LATE_EXPIRY);
        while let Some(seen) = self
            .inspect(&held.name)
            .await?
            .filter(|seen| held.shows_in(seen))
        {
            let left = seen
                .time_left
                .ok_or_else(|| Stop::failed("a lease has no end"))?;
            ensure!(
                left <= held.ttl,
                "{left:?} are left of a lease of {:?}",
                held.ttl
            );
            patience
                .pause(&format!("the end of a lease of {:?}", held.ttl))
                .await?;
        }
        let missing = held.lasts_until().since(self.runtime.now());
        ensure!(
            missing.is_zero(),
            "a lease of {:?} ended {missing:?} too early",
            held.ttl
        );
        Ok(())
    }
}
