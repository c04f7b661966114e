//! Flaws of a renewal, and of a batch of them.

use super::{BrokenStore, Flaw};
use crate::Grant;
use crate::store::{Attempt, Expiry, LockStore, Mode, Renewal, Renewed, StoreError};

impl BrokenStore {
    pub(super) async fn renew_all(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        let mut answers = Vec::new();
        for renewal in batch {
            let ttl = if self.is(Flaw::BatchOfOneTtl) {
                batch[0].ttl
            } else {
                renewal.ttl
            };
            answers.push(
                self.renew_one(&Renewal {
                    ttl,
                    ..renewal.clone()
                })
                .await,
            );
        }
        match self.core.flaw {
            Flaw::BatchReversed => answers.reverse(),
            Flaw::BatchCut => answers.truncate(batch.len().div_ceil(2)),
            _ => {}
        }
        answers
    }

    async fn renew_one(&self, renewal: &Renewal) -> Result<Renewed, StoreError> {
        self.check_open()?;
        let name = self.name(&renewal.name)?;
        self.settle(&name).await?;
        let grant = self.inward_grant(&name, renewal.grant);
        let renewal = Renewal {
            name,
            grant,
            ..renewal.clone()
        };
        let answer = self.try_renew(&renewal).await?;
        if matches!(answer, Renewed::Until(_)) {
            self.token_after_renewal(&renewal.name, renewal.grant);
        }
        Ok(answer)
    }

    async fn try_renew(&self, renewal: &Renewal) -> Result<Renewed, StoreError> {
        let holder = self.holder(&renewal.name).await?;
        let held = holder.as_ref().map(|noted| noted.grant);
        let (ours, name) = (renewal.grant, &renewal.name);
        match self.core.flaw {
            Flaw::RenewalDoesNothing if held == Some(ours) => {
                Ok(Renewed::Until(Expiry::ByThisCall))
            }
            Flaw::RenewalComparesNothing => self.pass(renewal, held.unwrap_or(ours)).await,
            Flaw::RenewalComparesIdOnly => {
                self.pass(
                    renewal,
                    held.filter(|held| held.id == ours.id).unwrap_or(ours),
                )
                .await
            }
            Flaw::RenewalComparesTokenOnly => {
                self.pass(
                    renewal,
                    held.filter(|held| held.token == ours.token).unwrap_or(ours),
                )
                .await
            }
            Flaw::GrantBoundToClient if holder.is_some_and(|noted| noted.client != self.client) => {
                Ok(Renewed::NotOwner)
            }
            Flaw::RenewalResurrects if held.is_none() => {
                let noted = self.core.notes().name(name).newest.clone();
                let Some(noted) = noted.filter(|noted| noted.grant == ours) else {
                    return Ok(Renewed::NotOwner);
                };
                let mut request = noted.request;
                (request.mode, request.ttl) = (Mode::Try, renewal.ttl);
                match self.core.inner.attempt(&request).await? {
                    Attempt::Granted(_) => Ok(Renewed::Until(Expiry::ByThisCall)),
                    Attempt::Busy { .. } => Ok(Renewed::NotOwner),
                }
            }
            Flaw::RenewalShortens if held == Some(ours) => {
                self.core.notes().name(name).ends_at = Some(self.core.runtime.now() + renewal.ttl);
                self.pass(renewal, ours).await
            }
            _ => self.pass(renewal, ours).await,
        }
    }

    async fn pass(&self, renewal: &Renewal, grant: Grant) -> Result<Renewed, StoreError> {
        let mut answers = self
            .core
            .inner
            .renew(&[Renewal {
                grant,
                ..renewal.clone()
            }])
            .await;
        answers
            .pop()
            .unwrap_or_else(|| Err(StoreError::indeterminate("no answer")))
    }
}
