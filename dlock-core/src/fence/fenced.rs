use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Fence, FenceError, Stamped};

/// A value in memory behind a fence: for tests, examples, and data that lives in this process.
///
/// ```
/// use dlock_core::{Locker, MemoryStore, fence::Fenced};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let locker = Locker::new(MemoryStore::new());
/// let balance = Fenced::new(0);
/// let guard = locker.lock("balance").acquire().await?;
/// let old = balance.claim(&guard)?; // before the first read: older tokens are refused from here on
/// balance.write(&guard, old + 10)?;
/// # guard.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Fenced<T> {
    inner: Mutex<(Fence, T)>,
}

impl<T> Fenced<T> {
    /// A value that nobody has claimed.
    pub fn new(value: T) -> Self {
        Self {
            inner: Mutex::new((Fence::default(), value)),
        }
    }

    /// Claims for this holder and reads.
    pub fn claim(&self, holder: &impl Stamped) -> Result<T, FenceError>
    where
        T: Clone,
    {
        let mut inner = self.inner();
        inner.0.claim(holder)?;
        Ok(inner.1.clone())
    }

    /// Writes, if this holder is the newest claimant.
    pub fn write(&self, holder: &impl Stamped, value: T) -> Result<(), FenceError> {
        let mut inner = self.inner();
        inner.0.admit(holder)?;
        inner.1 = value;
        Ok(())
    }

    /// Reads without a claim.
    pub fn read(&self) -> T
    where
        T: Clone,
    {
        self.inner().1.clone()
    }

    fn inner(&self) -> MutexGuard<'_, (Fence, T)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
