use dlock_workloads::{Result, Server, Store};

use super::waiting::{self, turns_of};
use crate::arguments::Arguments;
use crate::figures::report;
use crate::name;

/// Of each process, where there are several.
const TASKS: u64 = 10;

/// So many attempts wait, in one process and in many; one release, and then each holds the lock for
/// a moment and is gone. Were more than one woken by a release, the requests would grow with them.
pub async fn run(arguments: &Arguments, store: Store) -> Result<()> {
    if arguments.worker()?.is_some() {
        return waiting::wait_as_told(arguments, store).await;
    }
    let mut server = Server::connect(store, &arguments.url).await?;
    let holder = store.locker(&arguments.url).await?;
    for tasks in [10, 100, 500] {
        let name = name("stampede");
        let guard = holder.lock(&name).acquire().await?;
        let waiters = store.locker(&arguments.url).await?;
        let all = turns_of(&waiters, &name, tasks);
        waiting::until_queued(&mut server, &name, (1, tasks)).await?;
        let before = server.requests().await?;
        guard.release().await?;
        for task in all {
            task.await??;
        }
        let requests = server.requests().await? - before;
        report_requests(requests, (1, tasks));
        waiters.close().await;
    }
    for processes in [1, 10, 50] {
        let name = name("stampede");
        let guard = holder.lock(&name).acquire().await?;
        let workers = waiting::processes(arguments, &mut server, (processes, TASKS), &name).await?;
        let before = server.requests().await?;
        guard.release().await?;
        workers.turns()?;
        let requests = server.requests().await? - before;
        report_requests(requests, (processes, TASKS));
    }
    holder.close().await;
    Ok(())
}

fn report_requests(requests: u64, (processes, tasks): (u64, u64)) {
    let releases = processes * tasks + 1;
    let metric = format!("requests/release, {processes} x {tasks}");
    report(&metric, requests as f64 / releases as f64, "");
}
