use dlock_core::Guard;
use dlock_core::fence::FenceError;
use dlock_redis::{RedisFence, RedisStore};
use redis::aio::MultiplexedConnection;

use super::{Counter, Refusal, lock};
use crate::Result;

/// Behind a fence: older tokens are refused from the claim on.
pub struct RedisCounter {
    fence: RedisFence,
    connection: MultiplexedConnection,
    key: String,
}

impl RedisCounter {
    pub async fn new(store: &RedisStore, url: &str, key: &str) -> Result<Self> {
        let client = redis::Client::open(url)?;
        Ok(Self {
            fence: RedisFence::new(store, &lock()?)?,
            connection: client.get_multiplexed_async_connection().await?,
            key: key.to_owned(),
        })
    }
}

impl Counter for RedisCounter {
    type Claim = ();

    async fn claim(&self, guard: &Guard) -> Result<(u64, ()), Refusal> {
        self.fence.claim(guard).await.map_err(refusal)?;
        let mut connection = self.connection.clone();
        let mut get = redis::cmd("GET");
        let value: Result<Option<u64>, _> = get.arg(&self.key).query_async(&mut connection).await;
        Ok((value.map_err(Refusal::failed)?.unwrap_or(0), ()))
    }

    async fn write(&self, guard: &Guard, (): (), value: u64) -> Result<(), Refusal> {
        let written = self.fence.set(guard, &self.key, value.to_string()).await;
        written.map_err(refusal)
    }
}

fn refusal(error: FenceError) -> Refusal {
    match error {
        FenceError::Stale { presented, newest } => {
            Refusal::Stale(format!("token {presented} is stale, {newest} has claimed"))
        }
        error => Refusal::failed(error),
    }
}
