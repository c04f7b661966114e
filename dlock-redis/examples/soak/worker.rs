//! One process: its tasks take locks at random and count behind the fence.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dlock_redis::dlock_core::fence::FenceError;
use dlock_redis::dlock_core::{Guard, LockName, Locker};
use dlock_redis::{RedisFence, RedisStore};
use dlock_sim::trace::ProcessRecorder;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;

use crate::ledger::{Said, counter, lock};
use crate::{NAMES, Result, TASKS, TTL, random, recording};

/// What the parent starts a worker with, before the URL, its number, and the trace's folder.
pub const ARGUMENT: &str = "--worker";

pub fn run(url: &str, number: u32, folder: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(work(url, recording::observer(folder, number)?))
}

async fn work(url: &str, observer: ProcessRecorder) -> Result<()> {
    let (end, ended) = watch::channel(false);
    std::thread::spawn(move || {
        // Until the parent closes it, or is gone.
        let _ = std::io::read_to_string(std::io::stdin());
        let _ = end.send(true);
    });
    let store = RedisStore::connect(url).await?;
    let locker = Locker::builder(store.clone());
    let locker = locker.observer(Arc::new(observer)).build()?;
    let data = redis::Client::open(url)?
        .get_multiplexed_async_connection()
        .await?;
    let tasks = (0..TASKS).map(|_| {
        let task = Task {
            store: store.clone(),
            locker: locker.clone(),
            data: data.clone(),
        };
        let ended = ended.clone();
        tokio::spawn(async move {
            while !*ended.borrow() {
                if let Err(error) = task.turn().await {
                    Said::Trouble.say(0, 0);
                    eprintln!("soak: {error}");
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await?;
    }
    locker.close().await;
    Ok(())
}

struct Task {
    store: RedisStore,
    locker: Locker,
    data: MultiplexedConnection,
}

impl Task {
    async fn turn(&self) -> Result<()> {
        let number = random(NAMES);
        let acquiring = self.locker.lock(lock(number)).ttl(TTL).acquire();
        let guard = if random(5) == 0 {
            let patience = Duration::from_micros(u64::from(random(20_000)));
            match tokio::time::timeout(patience, acquiring).await {
                Ok(guard) => guard?,
                Err(_) => {
                    Said::Cancelled.say(number, 0);
                    return Ok(());
                }
            }
        } else {
            acquiring.await?
        };
        self.count(number, &guard).await?;
        match random(5) {
            0 => drop(guard),
            1 => {
                let patience = Duration::from_micros(u64::from(random(1000)));
                if tokio::time::timeout(patience, guard.release())
                    .await
                    .is_err()
                {
                    Said::Cancelled.say(number, 0);
                }
            }
            // A frozen process is told that its lock was lost.
            _ => drop(guard.release().await),
        }
        Ok(())
    }

    async fn count(&self, number: u32, guard: &Guard) -> Result<()> {
        let fence = RedisFence::new(&self.store, &LockName::new(lock(number))?)?;
        match fence.claim(guard).await {
            Ok(()) => {}
            Err(FenceError::Stale { .. }) => {
                Said::Refused.say(number, 0);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        let mut data = self.data.clone();
        let value: Option<u64> = redis::cmd("GET")
            .arg(counter(number))
            .query_async(&mut data)
            .await?;
        let next = value.unwrap_or(0) + 1;
        tokio::time::sleep(Duration::from_micros(u64::from(random(2000)))).await;
        Said::Trying.say(number, next);
        match fence.set(guard, &counter(number), next.to_string()).await {
            Ok(()) => Said::Written.say(number, next),
            Err(FenceError::Stale { .. }) => Said::Refused.say(number, next),
            // Perhaps written, perhaps not: the ledger will see.
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
