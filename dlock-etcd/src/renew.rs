use std::sync::Arc;
use std::time::Duration;

use dlock_core::runtime::timeout;
use dlock_core::store::{Expiry, Renewal, Renewed, StoreError};
use dlock_core::{Grant, Instant};

use crate::candidate::{Candidate, HeldEntry};
use crate::entry::Entry;
use crate::failure::{Failure, Meaning};
use crate::inner::Inner;
use crate::keys::Keys;
use crate::lease::{Kept, Lease};
use crate::recipe::{self, Moved};

/// How long a renewal waits for another one of the same grant.
const ONE_AT_A_TIME: Duration = Duration::from_millis(300);

/// How often one renewal tries to move an entry that others change at the same time.
const MOVES: u32 = 3;

impl Inner {
    pub async fn renew(&self, renewal: &Renewal) -> Result<Renewed, StoreError> {
        let keys = self.keys(&renewal.name);
        let ttl = renewal.ttl;
        let grant = renewal.grant;
        let renewed = match self.table.find(grant.id, &keys) {
            Some(candidate) => self.renew_held(&candidate, grant, ttl).await,
            None => self.renew_elsewhere(keys, grant, ttl).await,
        };
        Ok(renewed?)
    }

    async fn renew_held(
        &self,
        candidate: &Arc<Candidate>,
        grant: Grant,
        ttl: Duration,
    ) -> Result<Renewed, Failure> {
        let until = self.runtime().now() + ONE_AT_A_TIME;
        // Not for long: it may be an `extend` that nobody polls any more, and a batch waits with us.
        let Ok(_one) = timeout(self.runtime(), until, candidate.renewing.lock()).await else {
            return Err(Failure::told(
                Meaning::Unavailable,
                "another renewal of the same lock is under way",
            ));
        };
        for _ in 0..MOVES {
            let Some(mut held) = candidate.held(grant.token) else {
                return Ok(Renewed::NotOwner);
            };
            if held.lease.foreign {
                // R6: its TTL may be longer than what is asked for here.
                let Some(lease) = self.lease_of_another(held.lease.id).await? else {
                    return Ok(Renewed::NotOwner);
                };
                candidate.knows(&lease);
                held.lease = lease;
            }
            if held.moving {
                // Another change of the entry, answered, is the end of the doubt: both compare what it was.
                let left_is_more = held.lease.ends_at() > self.runtime().now() + ttl;
                if !left_is_more || held.lease.is_gone() {
                    if let Some(renewed) = self.move_to(candidate, &held, ttl).await? {
                        return Ok(renewed);
                    }
                } else if let Some(renewed) = self.move_to(candidate, &held, held.lease.ttl).await?
                {
                    // R6: it stays with what was left, which covers what is asked for.
                    return Ok(match renewed {
                        Renewed::Until(_) => Renewed::Until(Expiry::ByThisCall),
                        renewed => renewed,
                    });
                }
                continue;
            }
            if held.lease.ttl == ttl {
                return self.keep(candidate, &held).await;
            }
            let now = self.runtime().now();
            if held.lease.ends_at() > now + ttl && !held.lease.is_gone() {
                // R6: a shorter TTL does not shorten what is left. It counts when less is left.
                return Ok(match self.is_there(candidate, &held).await? {
                    true => Renewed::Until(Expiry::ByThisCall),
                    false => Renewed::NotOwner,
                });
            }
            if let Some(renewed) = self.move_to(candidate, &held, ttl).await? {
                return Ok(renewed);
            }
        }
        Err(Failure::told(
            Meaning::Unavailable,
            "others change the lock's key again and again",
        ))
    }

    async fn keep(&self, candidate: &Arc<Candidate>, held: &HeldEntry) -> Result<Renewed, Failure> {
        // R1: the lease may live on without its key. A watch that was followed by a read tells.
        let (kept, there) = futures_util::future::join(
            self.keepalives.keep(&held.lease),
            self.is_there(candidate, held),
        )
        .await;
        if !there? {
            return Ok(Renewed::NotOwner);
        }
        Ok(match kept? {
            Kept::From(sent_at) => Renewed::Until(Expiry::At(sent_at)),
            Kept::Gone => Renewed::NotOwner,
        })
    }

    /// Whether the entry is there, under the lease that we know.
    async fn is_there(
        &self,
        candidate: &Arc<Candidate>,
        held: &HeldEntry,
    ) -> Result<bool, Failure> {
        if held.verified {
            return Ok(true);
        }
        self.hub.ensure_running();
        let mut entries = recipe::read_all(&self.members, std::slice::from_ref(&held.key)).await?;
        let entry = entries.pop().flatten();
        candidate.seen(entry.as_ref(), None);
        match entry {
            Some(entry) if entry.created == held.created => {
                if entry.lease == held.lease.id {
                    Ok(true)
                } else {
                    // Somebody has extended it elsewhere: the next renewal starts from there.
                    Err(Failure::told(
                        Meaning::Unavailable,
                        "the lock was moved to another lease by somebody else",
                    ))
                }
            }
            _ => Ok(false),
        }
    }

    /// Puts the entry under a lease with this TTL. `None`: it is not as it was believed to be.
    async fn move_to(
        &self,
        candidate: &Arc<Candidate>,
        held: &HeldEntry,
        ttl: Duration,
    ) -> Result<Option<Renewed>, Failure> {
        let lease = match candidate.lease_of(ttl) {
            // R1: an earlier move to it may have come through, or may come yet.
            Some(lease) => lease,
            None => {
                let lease = self.pool.take(ttl).await?;
                candidate.may_be_under(&lease);
                lease
            }
        };
        let Kept::From(sent_at) = self.keepalives.keep(&lease).await? else {
            return Ok(None);
        };
        let sending = candidate.sending();
        candidate.set_moving(true);
        let moved = recipe::move_lease(
            &self.members,
            &held.key,
            candidate.holding(),
            (held.created, held.modified),
            lease.id,
        )
        .await;
        match moved {
            Ok(Moved::Done { modified }) => {
                sending.answered();
                candidate.set_moving(false);
                candidate.moved(&lease, modified);
                Ok(Some(Renewed::Until(Expiry::At(sent_at))))
            }
            Ok(Moved::Found(entry)) => {
                sending.answered();
                // It has changed: no earlier move can come true any more.
                candidate.set_moving(false);
                let there = entry
                    .as_ref()
                    .is_some_and(|one| one.created == held.created);
                candidate.seen(entry.as_ref(), None);
                Ok((!there).then_some(Renewed::NotOwner))
            }
            Err(failure) if failure.meaning == Meaning::Indeterminate => Err(failure),
            Err(failure) => {
                sending.answered();
                candidate.set_moving(held.moving);
                if failure.meaning == Meaning::NoSuchLease {
                    lease.set_gone();
                    return Ok(None);
                }
                Err(failure)
            }
        }
    }

    /// A grant of another process: its name, id and token are all that is known.
    async fn renew_elsewhere(
        &self,
        keys: Keys,
        grant: Grant,
        ttl: Duration,
    ) -> Result<Renewed, Failure> {
        let entries = recipe::everybody(&self.members, &keys).await?;
        // Only the first can hold the lock.
        let Some(entry) = entries.first().filter(|entry| is_of(entry, grant)) else {
            return Ok(Renewed::NotOwner);
        };
        let lease = Arc::new(Lease::of_another(
            entry.lease,
            Duration::ZERO,
            Instant::ORIGIN,
        ));
        let value = entry.owner.holding().unwrap_or_default();
        let candidate = Arc::new(Candidate::found(keys, grant.id, value, entry, lease));
        self.renew_held(&candidate, grant, ttl).await
    }

    async fn lease_of_another(&self, id: i64) -> Result<Option<Arc<Lease>>, Failure> {
        let now = self.runtime().now();
        let Some((granted, left)) = self.time_to_live(id).await? else {
            return Ok(None);
        };
        // At least so much was left then: from when it would have lasted that long.
        let renewed_from = (now + left) - granted;
        Ok(Some(Arc::new(Lease::of_another(id, granted, renewed_from))))
    }

    /// The TTL that a lease was granted with, and what is left of it at least. `None`: it is gone.
    pub async fn time_to_live(&self, lease: i64) -> Result<Option<(Duration, Duration)>, Failure> {
        let answer = self
            .members
            .call(|client| {
                let mut leases = client.lease_client();
                async move { leases.time_to_live(lease, None).await }
            })
            .await;
        let answer = match answer {
            Err(failure) if failure.meaning == Meaning::NoSuchLease => return Ok(None),
            answer => answer?,
        };
        let seconds = |number: i64| u64::try_from(number).ok().map(Duration::from_secs);
        // -1 for a lease that does not exist.
        Ok(seconds(answer.granted_ttl()).zip(seconds(answer.ttl())))
    }
}

fn is_of(entry: &Entry, grant: Grant) -> bool {
    entry.owner.id() == Some(grant.id) && i64::try_from(grant.token.value()) == Ok(entry.created)
}
