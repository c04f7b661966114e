//! The README's ten lines, without a server: `cargo run -p dlock-core --example quickstart_memory`.

use dlock_core::fence::Fenced;
use dlock_core::{Locker, MemoryStore};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let geese = Fenced::new(0);
    let locker = Locker::new(MemoryStore::new());

    let guard = locker
        .lock("duckDuckGoose")
        .ttl(Duration::from_secs(60)) // default 30 s; renewed in the background
        .wait(Duration::from_secs(5)) // without it acquire() waits as long as it takes
        .acquire()
        .await?;
    let before = geese.claim(&guard)?; // older tokens are refused from here on
    geese.write(&guard, before + 42)?; // refused if somebody has claimed since
    println!(
        "{} geese, written with token {}",
        geese.read(),
        guard.token()
    );
    guard.release().await?;

    locker.close().await; // waits for what dropped guards left to do
    Ok(())
}
