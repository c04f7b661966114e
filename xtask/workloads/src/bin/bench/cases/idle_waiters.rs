use std::time::Duration;

use dlock_workloads::{Result, Server, Store};

use super::waiting;
use crate::arguments::Arguments;
use crate::figures::report;
use crate::{name, now};

const PROCESSES: u64 = 16;

/// Processes that wait for a lock that nobody releases.
pub async fn run(arguments: &Arguments, store: Store) -> Result<()> {
    if arguments.worker()?.is_some() {
        return waiting::wait_as_told(arguments, store).await;
    }
    let mut server = Server::connect(store, &arguments.url).await?;
    let holder = store.locker(&arguments.url).await?;
    let name = name("idle");
    let lock = holder.lock(&name).ttl(Duration::from_secs(600));
    let guard = lock.acquire().await?;
    let workers = waiting::processes(arguments, &mut server, (PROCESSES, 1), &name).await?;
    // What they asked to begin with does not count.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, started) = (server.requests().await?, now());
    tokio::time::sleep(arguments.time).await;
    let requests = server.requests().await? - before;
    let seconds = (now() - started) as f64 / 1e9;
    let each = requests as f64 / PROCESSES as f64 / seconds;
    report("requests/process/s", each, "");
    drop(workers);
    guard.release().await?;
    holder.close().await;
    Ok(())
}
