//! Flaws of an attempt that is asked, or asked again.

use std::time::Duration;

use super::notes::Noted;
use super::{BrokenStore, Flaw};
use crate::store::{
    Attempt, AttemptRequest, Expiry, Granted, HeldBy, LockEvent, LockStore, LossSignal, Mode,
    Release, Renewal, StoreError,
};
use crate::{AttemptId, LockName, OwnerLabel};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

impl BrokenStore {
    pub(super) async fn try_attempt(
        &self,
        request: &AttemptRequest,
    ) -> Result<Attempt, StoreError> {
        let inner = &self.core.inner;
        let with_ttl = |ttl: Duration| AttemptRequest {
            ttl,
            ..request.clone()
        };
        match self.core.flaw {
            Flaw::GrantsToEverybody => self.take_over(request).await,
            Flaw::CheckThenAct if inner.inspect(&request.name).await?.is_none() => {
                self.core.runtime.sleep(Duration::from_millis(1)).await;
                self.take_over(request).await
            }
            Flaw::ReentrantByClient
                if self
                    .holder(&request.name)
                    .await?
                    .is_some_and(|h| h.client == self.client) =>
            {
                self.take_over(request).await
            }
            Flaw::FreeLockRefused if self.core.notes().refused.insert(request.id) => Ok(busy()),
            Flaw::NamesNested if self.relative_is_held(&request.name).await? => Ok(busy()),
            Flaw::NoExpiry => inner.attempt(&with_ttl(YEAR)).await,
            Flaw::ExpiresEarly => inner.attempt(&with_ttl(request.ttl / 2)).await,
            Flaw::TtlRounded => {
                inner
                    .attempt(&with_ttl(Duration::from_secs(
                        request.ttl.as_secs().div_ceil(60) * 60,
                    )))
                    .await
            }
            Flaw::TtlCapped => {
                inner
                    .attempt(&with_ttl(request.ttl.min(Duration::from_secs(3600))))
                    .await
            }
            Flaw::TtlRaised => {
                inner
                    .attempt(&with_ttl(request.ttl.max(Duration::from_secs(10))))
                    .await
            }
            Flaw::TtlUnlimited => inner.attempt(&with_ttl(request.ttl.min(YEAR))).await,
            Flaw::RetryRefused if self.holds(request).await?.is_some() => Ok(busy()),
            Flaw::RetryMintsToken => {
                if self.holds(request).await?.is_some() {
                    inner.force_release(&request.name).await?;
                }
                inner.attempt(request).await
            }
            Flaw::RetryLengthens => {
                if let Some(held) = self.holds(request).await? {
                    inner
                        .renew(&[Renewal::new(request.name.clone(), held.grant, request.ttl)])
                        .await;
                }
                inner.attempt(request).await
            }
            Flaw::RetryClaimsExpiry => Ok(match inner.attempt(request).await? {
                Attempt::Granted(granted) => Attempt::Granted(Granted {
                    expiry: Expiry::ByThisCall,
                    ..granted
                }),
                busy => busy,
            }),
            Flaw::GrantRemembered if self.remembered(request.id).is_some() => Ok(self
                .remembered(request.id)
                .map_or_else(busy, Attempt::Granted)),
            Flaw::RefusalRemembered if self.core.notes().refused.contains(&request.id) => {
                Ok(busy())
            }
            Flaw::RefusalRemembered => {
                let answer = inner.attempt(request).await?;
                if matches!(answer, Attempt::Busy { .. }) {
                    self.core.notes().refused.insert(request.id);
                }
                Ok(answer)
            }
            Flaw::TryQueues => {
                inner
                    .attempt(&AttemptRequest {
                        mode: Mode::Queue,
                        ..request.clone()
                    })
                    .await
            }
            Flaw::TryPassesTheQueue
            | Flaw::QueueLifo
            | Flaw::QueueIgnored
            | Flaw::DeadHeadBlocks => self.queue_up(request).await,
            Flaw::LabelLost => {
                inner
                    .attempt(&request.clone().labelled(OwnerLabel::none()))
                    .await
            }
            Flaw::LabelCut => {
                let label = request.label.as_str().split(':').next().unwrap_or_default();
                inner
                    .attempt(&request.clone().labelled(OwnerLabel::new(label)))
                    .await
            }
            Flaw::LossNotReported => {
                inner
                    .attempt(&AttemptRequest {
                        loss: LossSignal::unheard(),
                        ..request.clone()
                    })
                    .await
            }
            _ => inner.attempt(request).await,
        }
    }

    /// Notes a grant, and shows it.
    pub(super) fn granted(&self, request: &AttemptRequest, granted: Granted) -> Granted {
        let mut notes = self.core.notes();
        notes.granted.insert(request.id, granted);
        let name = notes.name(&request.name);
        let known = name
            .newest
            .as_ref()
            .is_some_and(|newest| newest.grant == granted.grant);
        if !known {
            name.ends_at = None;
            name.newest = Some(Noted {
                grant: granted.grant,
                request: request.clone(),
                client: self.client,
            });
        }
        drop(notes);
        let grant = self.show(&request.name, granted.grant);
        let _ = self.core.events.send(LockEvent::Locked {
            label: Some(request.label.clone()),
            token: Some(grant.token),
        });
        Granted { grant, ..granted }
    }

    pub(super) fn held_by(&self, held_by: HeldBy) -> HeldBy {
        if self.is(Flaw::RefusalNamesNobody) {
            HeldBy::default()
        } else {
            held_by
        }
    }

    /// The holder, if it is one of ours.
    pub(super) async fn holder(&self, name: &LockName) -> Result<Option<Noted>, StoreError> {
        let seen = self.core.inner.inspect(name).await?;
        let newest = self.core.notes().name(name).newest.clone();
        Ok(newest.filter(|newest| seen.is_some_and(|seen| seen.token == Some(newest.grant.token))))
    }

    async fn holds(&self, request: &AttemptRequest) -> Result<Option<Noted>, StoreError> {
        Ok(self
            .holder(&request.name)
            .await?
            .filter(|holder| holder.grant.id == request.id))
    }

    async fn take_over(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        self.core.inner.force_release(&request.name).await?;
        self.core
            .inner
            .attempt(&AttemptRequest {
                mode: Mode::Try,
                ..request.clone()
            })
            .await
    }

    fn remembered(&self, id: AttemptId) -> Option<Granted> {
        self.core.notes().granted.get(&id).map(|granted| Granted {
            expiry: Expiry::ByEarlierCall,
            ..*granted
        })
    }

    /// Ends a lease that was shortened by [`Flaw::RenewalShortens`].
    pub(super) async fn settle(&self, name: &LockName) -> Result<(), StoreError> {
        let ends_at = self.core.notes().name(name).ends_at;
        if ends_at.is_some_and(|end| end <= self.core.runtime.now())
            && let Some(holder) = self.holder(name).await?
        {
            let release = Release::Attempt(holder.grant.id, holder.request.trail);
            self.core.inner.release(name, &release).await?;
        }
        Ok(())
    }
}

fn busy() -> Attempt {
    Attempt::Busy {
        held_by: HeldBy::default(),
        place: None,
    }
}
