use std::time::Duration;

use dlock_core::Locker;
use dlock_workloads::Result;

use crate::arguments::Arguments;
use crate::figures::report_more;
use crate::floors::{EtcdFloor, RedisFloor};
use crate::subject::Subject;
use crate::{name, now};

/// Somebody who has a lock all to himself.
pub trait Cycle: Clone + Send + 'static {
    fn acquire_and_release(&mut self, key: &str) -> impl Future<Output = Result<()>> + Send;
}

impl Cycle for Locker {
    async fn acquire_and_release(&mut self, key: &str) -> Result<()> {
        Ok(self.lock(key).acquire().await?.release().await?)
    }
}

/// So many tasks on one connection, each with a lock of its own.
pub async fn run(arguments: &Arguments, tasks: u64) -> Result<()> {
    let url = &arguments.url;
    match arguments.subject {
        Subject::Ours(store) => {
            let locker = store.locker(url).await?;
            measure(arguments, tasks, &locker).await?;
            locker.close().await;
            Ok(())
        }
        Subject::RedisFloor { fenced } => {
            measure(arguments, tasks, &RedisFloor::connect(url, fenced).await?).await
        }
        Subject::EtcdFloor => measure(arguments, tasks, &EtcdFloor::connect(url).await?).await,
    }
}

async fn measure(arguments: &Arguments, tasks: u64, cycle: &impl Cycle) -> Result<()> {
    let case = name("own");
    work(cycle, &case, tasks, arguments.time / 10).await?;
    let throughput = work(cycle, &case, tasks, arguments.time).await?;
    report_more("throughput", throughput, "acquisitions/s");
    Ok(())
}

async fn work(cycle: &impl Cycle, case: &str, tasks: u64, time: Duration) -> Result<f64> {
    let started = now();
    let until = started + time.as_nanos() as u64;
    let mut all = Vec::new();
    for task in 0..tasks {
        let (mut cycle, key) = (cycle.clone(), format!("{case}-{task}"));
        all.push(tokio::spawn(async move {
            let mut count = 0_u64;
            while now() < until {
                cycle.acquire_and_release(&key).await?;
                count += 1;
            }
            dlock_workloads::Result::<u64>::Ok(count)
        }));
    }
    let mut count = 0;
    for task in all {
        count += task.await??;
    }
    Ok(count as f64 / ((now() - started) as f64 / 1e9))
}
