use std::fmt;

use dlock_core::LockName;
use dlock_core::fence::{FenceError, Stamp, Stamped};
use dlock_core::store::StoreError;

use crate::keys::{Keys, is_auxiliary};
use crate::reply::Verdict;
use crate::{RedisStore, reply, scripts};

/// A fence for data that lives in the same Redis as the lock.
///
/// One for each lock name. It is a key beside the lock's that never expires, and as durable as the
/// data: what loses one (a `FLUSHALL`, a failover) may lose the other.
///
/// ```no_run
/// # async fn example(store: dlock_redis::RedisStore, guard: dlock_core::Guard) -> Result<(), Box<dyn std::error::Error>> {
/// use dlock_core::LockName;
/// use dlock_redis::RedisFence;
///
/// let fence = RedisFence::new(&store, &LockName::new("invoice-42")?)?;
/// fence.claim(&guard).await?; // before the first read: older tokens are refused from here on
/// fence.set(&guard, "invoice:42:total", "118.00").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisFence {
    store: RedisStore,
    name: LockName,
    keys: Keys,
}

impl RedisFence {
    /// The fence of this lock. No I/O.
    ///
    /// Fails with [`Rejected`](StoreError::Rejected) when the store cannot hold that lock either.
    pub fn new(store: &RedisStore, name: &LockName) -> Result<Self, StoreError> {
        Ok(Self {
            store: store.clone(),
            name: name.clone(),
            keys: store.keys(name)?,
        })
    }

    /// Claims the fence for this holder, before its first read: older tokens are refused from here
    /// on. May be repeated. Dropped before its end, it may or may not have claimed.
    pub async fn claim(&self, holder: &impl Stamped) -> Result<(), FenceError> {
        let stamp = self.stamp(holder)?;
        let session = self.store.session().await.map_err(StoreError::from)?;
        let (token, grant) = texts(stamp);
        let answer = scripts::CLAIM
            .run(
                &session,
                &[&self.keys.fence()],
                &[token.as_bytes(), grant.as_bytes()],
            )
            .await;
        accepted(
            stamp,
            session
                .understand(answer, reply::verdict)
                .map_err(StoreError::from)?,
        )
    }

    /// `SET key value`, if this holder has the newest claim; refused otherwise. Both in one step.
    ///
    /// After an [`Indeterminate`](StoreError::Indeterminate) error the value may or may not have
    /// been written; the same holder may write again.
    pub async fn set(
        &self,
        holder: &impl Stamped,
        key: impl AsRef<str>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), FenceError> {
        let stamp = self.stamp(holder)?;
        let key = key.as_ref();
        if key == self.keys.lock || is_auxiliary(key) {
            return Err(
                StoreError::rejected("the data key is one of dlock's own: choose another").into(),
            );
        }
        let session = self.store.session().await.map_err(StoreError::from)?;
        let (token, grant) = texts(stamp);
        let arguments = [token.as_bytes(), grant.as_bytes(), value.as_ref()];
        let answer = scripts::FENCED_SET
            .run(&session, &[&self.keys.fence(), key], &arguments)
            .await;
        accepted(
            stamp,
            session
                .understand(answer, reply::verdict)
                .map_err(StoreError::from)?,
        )
    }

    /// A guard of another lock is a mistake: its token would shut out the rightful holder.
    fn stamp(&self, holder: &impl Stamped) -> Result<Stamp, FenceError> {
        match holder.lock() {
            Some(held) if *held != self.name => Err(FenceError::OtherLock {
                fence: self.name.clone(),
                held: held.clone(),
            }),
            _ => Ok(holder.stamp()),
        }
    }
}

fn texts(stamp: Stamp) -> (String, String) {
    (stamp.token.to_string(), stamp.grant.to_string())
}

fn accepted(
    Stamp {
        token: presented, ..
    }: Stamp,
    verdict: Verdict,
) -> Result<(), FenceError> {
    match verdict {
        Verdict::Accepted => Ok(()),
        Verdict::Stale { newest } => Err(FenceError::Stale { presented, newest }),
        Verdict::Unclaimed => Err(FenceError::Unclaimed { presented }),
    }
}

impl fmt::Debug for RedisFence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFence")
            .field("lock", &self.keys.lock)
            .finish_non_exhaustive()
    }
}
