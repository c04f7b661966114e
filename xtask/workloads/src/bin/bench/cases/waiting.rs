//! Attempts that wait for a lock, in this process and in others.

use std::time::Duration;

use dlock_core::Locker;
use dlock_workloads::{Result, Server, Store};
use tokio::task::JoinHandle;

use crate::arguments::Arguments;
use crate::now;
use crate::workers::{Workers, ready};

/// Until all of them wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// Each of them takes the lock once, and keeps it for a moment.
pub fn turns_of(locker: &Locker, name: &str, tasks: u64) -> Vec<JoinHandle<Result<()>>> {
    let turn = |_| {
        let lock = locker.lock(name);
        tokio::spawn(async move {
            let guard = lock.acquire().await?;
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok(guard.release().await?)
        })
    };
    (0..tasks).map(turn).collect()
}

/// Processes with so many tasks each, all of which wait for this lock.
pub async fn processes(
    arguments: &Arguments,
    server: &mut Server,
    (processes, tasks): (u64, u64),
    name: &str,
) -> Result<Workers> {
    let options = [("name", name.to_owned()), ("tasks", tasks.to_string())];
    let mut workers = Workers::start(arguments, processes, &options)?;
    workers.go()?;
    until_queued(server, name, (processes, tasks)).await?;
    Ok(workers)
}

/// The same in such a process.
pub async fn wait_as_told(arguments: &Arguments, store: Store) -> Result<()> {
    let locker = store.locker(&arguments.url).await?;
    ready().await?;
    let tasks = arguments.number("tasks")?.ok_or("how many tasks?")?;
    for task in turns_of(&locker, arguments.text("name")?, tasks) {
        task.await??;
    }
    locker.close().await;
    Ok(())
}

/// Until so many store instances wait, with so many attempts each, and ask hardly anything any more.
pub async fn until_queued(
    server: &mut Server,
    name: &str,
    (instances, attempts): (u64, u64),
) -> Result<()> {
    let expected = match server {
        Server::Redis(_) => instances,
        Server::Etcd { .. } => instances * attempts,
    };
    let give_up = now() + PATIENCE.as_nanos() as u64;
    let mut requests = 0;
    loop {
        let there = server.queue_length(name).await?;
        let before = std::mem::replace(&mut requests, server.requests().await?);
        // Each hears what happens, and has looked once more.
        if there >= expected && requests - before <= expected / 4 + 2 {
            return Ok(());
        }
        if now() > give_up {
            return Err(
                format!("{there} of {expected} came to wait, or did not come to rest").into(),
            );
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
