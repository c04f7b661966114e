//! One of the processes: takes the lock, reads, adds one, writes, releases; until the counter is full.

use std::io::{self, Write};
use std::time::Duration;

use dlock_core::runtime::{Runtime, TokioRuntime};
use dlock_core::{Guard, LeaseError, Locker};
use dlock_etcd::EtcdStore;
use dlock_redis::RedisStore;
use dlock_workloads::Store;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::counter::{Counter, EtcdCounter, RedisCounter, Refusal};
use crate::place::Place;
use crate::protocol::{Order, Report};
use crate::{LOCK, Result, TARGET, TTL};

/// Makes this program a worker.
pub const ARGUMENT: &str = "--worker";

/// Between two increments a worker does something else for up to this long.
const REST: Duration = Duration::from_millis(10);

pub async fn run(place: &Place) -> Result<()> {
    let Place {
        store,
        url,
        counter,
    } = place;
    match store {
        Store::Redis => {
            let store = RedisStore::connect(url).await?;
            let counter = RedisCounter::new(&store, url, counter).await?;
            work(Locker::new(store), counter).await
        }
        Store::Etcd => {
            let store = EtcdStore::connect([url]).await?;
            let counter = EtcdCounter::new(&store, url, counter).await?;
            work(Locker::new(store), counter).await
        }
    }
}

async fn work(locker: Locker, counter: impl Counter) -> Result<()> {
    let _deaf = ignore_signals()?;
    let mut orders = listen();
    let clock = TokioRuntime::new();
    loop {
        let guard = locker.lock(LOCK).ttl(TTL).acquire().await?;
        let granted_at = clock.now().as_nanos();
        let token = guard.token().value();
        match increment(&guard, &counter, &mut orders, granted_at).await {
            Ok(Some(value)) => {
                let releasing_at = clock.now().as_nanos();
                // The store took the write, even if the lock was lost since.
                let in_time = guard.release().await.is_ok();
                let releasing_at = in_time.then_some(releasing_at);
                tell(Report::Wrote {
                    token,
                    value,
                    granted_at,
                    releasing_at,
                })?;
            }
            Ok(None) => {
                // Nothing was written: never mind if it was lost.
                let _ = guard.release().await;
                tell(Report::Finished { token, granted_at })?;
                break;
            }
            Err(Refusal::Stale(why)) => {
                let lease = match guard.check() {
                    Ok(()) => "its worker did not know".to_owned(),
                    Err(LeaseError::Lost { cause, .. }) => cause.to_string(),
                    Err(error) => error.to_string(),
                };
                tell(Report::Refused { token, why, lease })?;
                // Nothing was written; on with a new lock.
                drop(guard);
            }
            Err(error) => return Err(error.into()),
        }
        let rest = REST.mul_f64(clock.random() as f64 / u64::MAX as f64);
        tokio::time::sleep(rest).await;
    }
    locker.close().await;
    Ok(())
}

/// The critical section. Returns the value written, or `None` when the counter is full.
async fn increment(
    guard: &Guard,
    counter: &impl Counter,
    orders: &mut UnboundedReceiver<Order>,
    granted_at: u64,
) -> Result<Option<u64>, Refusal> {
    let (value, claim) = counter.claim(guard).await?;
    if value >= TARGET {
        return Ok(None);
    }
    if orders.try_recv() == Ok(Order::Stall) {
        // Here the parent kills or freezes this process; the write below comes when it woke.
        let token = guard.token().value();
        let _ = tell(Report::Stalled { token, granted_at });
        while orders.recv().await != Some(Order::GoOn) {}
    }
    counter.write(guard, claim, value + 1).await?;
    Ok(Some(value + 1))
}

fn tell(report: Report) -> io::Result<()> {
    writeln!(io::stdout(), "{report}")
}

/// What the parent says. When it is gone, so are we.
fn listen() -> UnboundedReceiver<Order> {
    let (sender, orders) = unbounded_channel();
    std::thread::spawn(move || {
        for order in io::stdin().lines().map_while(Result::ok) {
            if let Some(order) = Order::parse(&order) {
                let _ = sender.send(order);
            }
        }
        std::process::exit(1);
    });
    orders
}

/// A terminal's Ctrl-C reaches every process. The parent decides what it means.
fn ignore_signals() -> io::Result<[tokio::signal::unix::Signal; 2]> {
    // A frozen process sees nothing, not even that its parent was killed; this ends it all the same.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok([
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
    ])
}
