//! Fencing: how a protected resource refuses a holder that does not know yet that it is stale.
//!
//! Two steps, because a fence that is checked only at the write loses updates (34 reads; stale 33
//! writes and is accepted; 34 overwrites it): **claim** before the first read, then **write**.
//! The fence lives in the protected resource and must be as durable as its data: one for each lock
//! name, not for each row. A store whose [`Capabilities::fencing`](crate::store::Capabilities) is `false` has tokens that
//! must not be used with a fence. Tokens of different stores do not compare: moving a lock from one store
//! to another needs a reset of the fence.
//!
//! In PostgreSQL, with a row `fences(lock, fence, grant_hash)` beside the data, both in one transaction:
//!
//! ```sql
//! -- claim; zero rows updated = stale
//! UPDATE fences SET fence = $1, grant_hash = $2
//!  WHERE lock = 'invoice-42' AND (fence < $1 OR (fence = $1 AND grant_hash = $2));
//! -- write; zero rows updated = stale
//! UPDATE invoices SET total = $3 FROM fences
//!  WHERE invoices.id = 42 AND fences.lock = 'invoice-42' AND fence = $1 AND grant_hash = $2;
//! ```

mod fenced;

pub use fenced::Fenced;

use crate::store::StoreError;
use crate::{FencingToken, Grant, GrantHash, LockName};

/// What a holder shows to a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The fencing token.
    pub token: FencingToken,
    /// A hash of the attempt id, which tells two grants with one token apart.
    pub grant: GrantHash,
}

/// Whatever has a stamp: a guard, a lease, a grant, or the stamp itself.
pub trait Stamped {
    /// The stamp.
    fn stamp(&self) -> Stamp;

    /// The lock that was granted, where the holder knows it: a fence of another lock refuses it.
    fn lock(&self) -> Option<&LockName> {
        None
    }
}

impl Stamped for Stamp {
    fn stamp(&self) -> Stamp {
        *self
    }
}

impl Stamped for Grant {
    fn stamp(&self) -> Stamp {
        Stamp {
            token: self.token,
            grant: self.hash(),
        }
    }
}

impl Stamped for crate::Guard {
    fn stamp(&self) -> Stamp {
        self.grant().stamp()
    }

    fn lock(&self) -> Option<&LockName> {
        Some(self.name())
    }
}

/// Why a fence refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FenceError {
    /// A newer token has claimed (or another grant with the same token): the presenter's lock is lost.
    #[error(
        "token {presented} is stale: {newest} has claimed; acquire the lock anew and start over"
    )]
    Stale {
        /// The token presented.
        presented: FencingToken,
        /// The newest token that has claimed.
        newest: FencingToken,
    },
    /// A write without a claim by this grant before it.
    #[error("token {presented} has not claimed: call claim() before the first read")]
    Unclaimed {
        /// The token presented.
        presented: FencingToken,
    },
    /// The holder has another lock than the one that this fence belongs to.
    #[error(
        "this is the fence of lock `{fence}`, and the holder has lock `{held}`: use the fence of the lock that is held"
    )]
    OtherLock {
        /// The fence's lock.
        fence: LockName,
        /// The holder's lock.
        held: LockName,
    },
    /// The resource's store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The rule of a fence, without the storage: keep it beside the data, change it in the data's own
/// transaction. Starts open to any token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    newest: Option<Stamp>,
}

impl Fence {
    /// A fence with this newest claim, as read from the resource.
    pub fn claimed_by(newest: Stamp) -> Self {
        Self {
            newest: Some(newest),
        }
    }

    /// The newest claim.
    pub fn newest(&self) -> Option<Stamp> {
        self.newest
    }

    /// Before the first read: accepted if the token is above all seen, or the newest with the same grant.
    pub fn claim(&mut self, holder: &impl Stamped) -> Result<(), FenceError> {
        let stamp = holder.stamp();
        match self.newest {
            Some(newest) if newest != stamp && stamp.token <= newest.token => {
                Err(stale(stamp, newest))
            }
            _ => {
                self.newest = Some(stamp);
                Ok(())
            }
        }
    }

    /// At each write: accepted *only* from the newest claimant.
    pub fn admit(&self, holder: &impl Stamped) -> Result<(), FenceError> {
        let stamp = holder.stamp();
        match self.newest {
            Some(newest) if newest == stamp => Ok(()),
            Some(newest) if stamp.token <= newest.token => Err(stale(stamp, newest)),
            _ => Err(FenceError::Unclaimed {
                presented: stamp.token,
            }),
        }
    }
}

fn stale(presented: Stamp, newest: Stamp) -> FenceError {
    FenceError::Stale {
        presented: presented.token,
        newest: newest.token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AttemptId;

    fn grant(id: u128, token: u64) -> Grant {
        Grant {
            id: AttemptId::from_bits(id),
            token: FencingToken::new(token).unwrap(),
        }
    }

    #[test]
    fn a_stale_claim_is_refused_with_the_newest_token() {
        let mut fence = Fence::default();
        fence.claim(&grant(2, 34)).unwrap();
        let error = fence.claim(&grant(1, 33)).unwrap_err();
        assert!(
            matches!(error, FenceError::Stale { newest, .. } if newest.value() == 34),
            "{error}"
        );
    }

    /// `claim-before-read`: checked only at the write, 33 would be accepted and its update lost.
    #[test]
    fn after_a_newer_claim_the_older_holder_cannot_write() {
        let mut fence = Fence::default();
        fence.claim(&grant(1, 33)).unwrap();
        fence.admit(&grant(1, 33)).unwrap();
        fence.claim(&grant(2, 34)).unwrap();
        assert!(matches!(
            fence.admit(&grant(1, 33)),
            Err(FenceError::Stale { .. })
        ));
        fence.admit(&grant(2, 34)).unwrap();
    }

    #[test]
    fn one_token_serves_one_grant_and_may_claim_twice() {
        let mut fence = Fence::default();
        fence.claim(&grant(1, 33)).unwrap();
        fence.claim(&grant(1, 33)).unwrap();
        assert!(matches!(
            fence.claim(&grant(2, 33)),
            Err(FenceError::Stale { .. })
        ));
        assert!(matches!(
            fence.admit(&grant(2, 33)),
            Err(FenceError::Stale { .. })
        ));
    }

    #[test]
    fn a_write_needs_a_claim() {
        let mut fence = Fence::default();
        assert!(matches!(
            fence.admit(&grant(1, 33)),
            Err(FenceError::Unclaimed { .. })
        ));
        fence.claim(&grant(1, 33)).unwrap();
        assert!(matches!(
            fence.admit(&grant(2, 34)),
            Err(FenceError::Unclaimed { .. })
        ));
    }
}
