use std::time::Duration;

use dlock_core::{Guard, Locker};
use dlock_workloads::{EtcdMetrics, Result, Server, Store};
use tokio::task::JoinSet;

use crate::arguments::Arguments;
use crate::figures::report;
use crate::usage::{cpu_seconds, resident};
use crate::{name, now};

const LOCKS: usize = 10_000;
const TTL: Duration = Duration::from_secs(10);

/// So many at a time ask for their locks.
const AT_ONCE: usize = 64;

/// Ten thousand locks held for the time, by one process.
pub async fn run(arguments: &Arguments, store: Store) -> Result<()> {
    let mut server = Server::connect(store, &arguments.url).await?;
    let locker = store.locker(&arguments.url).await?;
    let case = name("held");
    locker.lock(&case).acquire().await?.release().await?;
    let (before, started) = (resident()?, now());
    let guards = acquire_all(&locker, &case).await?;
    report("all acquired after", seconds_since(started), "s");
    let memory = resident()?.saturating_sub(before) as f64 / LOCKS as f64;
    report("memory per lock", memory, "bytes");

    let (requests, keepalives) = (server.requests().await?, Keepalives::count(&server).await?);
    let (started, cpu) = (now(), cpu_seconds()?);
    tokio::time::sleep(arguments.time).await;
    let seconds = seconds_since(started);
    let requests = (server.requests().await? - requests) as f64 / seconds;
    report("requests/s", requests, "");
    let cpu = (cpu_seconds()? - cpu) / seconds;
    report("CPU", cpu * 100.0, "% of a core");
    let lost = guards.iter().filter(|guard| guard.check().is_err()).count();
    report("lost", lost as f64, "");
    if let (Some(before), Some(after)) = (keepalives, Keepalives::count(&server).await?) {
        after.report_since(&before, seconds);
    }
    drop(guards);
    locker.close().await;
    Ok(())
}

async fn acquire_all(locker: &Locker, case: &str) -> Result<Vec<Guard>> {
    let mut guards = Vec::with_capacity(LOCKS);
    let mut acquiring = JoinSet::new();
    for lock in 0..LOCKS {
        let lock = locker.lock(format!("{case}-{lock}")).ttl(TTL);
        acquiring.spawn(async move { lock.acquire().await });
        if acquiring.len() >= AT_ONCE {
            guards.extend(acquiring.join_next().await.transpose()?.transpose()?);
        }
    }
    while let Some(guard) = acquiring.join_next().await {
        guards.push(guard??);
    }
    Ok(guards)
}

fn seconds_since(started: u64) -> f64 {
    (now() - started) as f64 / 1e9
}

/// How leases are kept alive, where the server counts that.
struct Keepalives {
    messages: u64,
    streams: u64,
    watch_streams: u64,
}

impl Keepalives {
    async fn count(server: &Server) -> Result<Option<Self>> {
        let Server::Etcd { url, .. } = server else {
            return Ok(None);
        };
        let metrics = EtcdMetrics::read(url).await?;
        Ok(Some(Self {
            messages: metrics.messages_received_by("LeaseKeepAlive"),
            streams: metrics.open_streams("LeaseKeepAlive"),
            watch_streams: metrics.open_streams("Watch"),
        }))
    }

    fn report_since(&self, before: &Self, seconds: f64) {
        let messages = (self.messages - before.messages) as f64 / seconds;
        report("keepalives/s", messages, "");
        report("keepalive streams", self.streams as f64, "");
        report("watch streams", self.watch_streams as f64, "");
    }
}
