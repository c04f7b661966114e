//! The protected resource: a counter in the lock's own store, which refuses the write of whoever has
//! lost the lock. From the claim to the write it takes several requests, and between them nothing but
//! dlock's lock keeps other processes away.

mod etcd;
mod redis;

use std::error::Error;
use std::fmt;

use dlock_core::{Guard, LockName};

pub use etcd::EtcdCounter;
pub use redis::RedisCounter;

use crate::LOCK;

/// What a holder does to the counter.
pub trait Counter {
    /// What is remembered from the claim to the write.
    type Claim;

    /// Claims for this holder and reads the value.
    async fn claim(&self, guard: &Guard) -> Result<(u64, Self::Claim), Refusal>;

    /// Writes the value, if this holder still has the lock.
    async fn write(&self, guard: &Guard, claim: Self::Claim, value: u64) -> Result<(), Refusal>;
}

/// Why nothing was read or written.
#[derive(Debug)]
pub enum Refusal {
    /// The holder has lost the lock: how the store knows.
    Stale(String),
    Failed(Box<dyn Error + Send + Sync>),
}

fn lock() -> Result<LockName, Refusal> {
    LockName::new(LOCK).map_err(Refusal::failed)
}

impl Refusal {
    fn failed(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed(error.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale(why) => f.write_str(why),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl Error for Refusal {}
