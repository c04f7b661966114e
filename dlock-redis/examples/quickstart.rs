//! The README's ten lines, on a Redis server at the default address:
//! `cargo run -p dlock-redis --example quickstart`.

use dlock_core::{LockName, Locker};
use dlock_redis::{RedisFence, RedisStore};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = RedisStore::connect("redis://127.0.0.1/").await?;
    let fence = RedisFence::new(&store, &LockName::new("duckDuckGoose")?)?;
    let locker = Locker::new(store);

    let guard = locker
        .lock("duckDuckGoose")
        .ttl(Duration::from_secs(60)) // default 30 s; renewed in the background
        .wait(Duration::from_secs(5)) // without it acquire() waits as long as it takes
        .acquire()
        .await?;
    fence.claim(&guard).await?; // before the first read: older tokens are refused from here on
    fence.set(&guard, "geese", "42").await?; // refused if somebody has claimed since
    println!("42 geese, written with token {}", guard.token());
    guard.release().await?;

    locker.close().await; // waits for what dropped guards left to do
    Ok(())
}
