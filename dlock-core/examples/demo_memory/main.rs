//! The demo without a server: eight tasks increment one counter, 2,000 times, under one lock on the
//! memory store. One is aborted while it holds the lock, one stalls past its TTL and writes then.
//! No update may be lost.
//!
//! ```text
//! cargo run -p dlock-core --example demo_memory
//! ```

// The lints keep the library's own code on the injected runtime; an application is free of that.
#![allow(clippy::disallowed_methods)]

mod outcome;

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use dlock_core::fence::{FenceError, Fenced};
use dlock_core::runtime::{Runtime, TokioRuntime};
use dlock_core::{Guard, Instant, Locker, MemoryStore};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use outcome::{Hold, Observed};

const TASKS: usize = 8;
const TARGET: u64 = 2_000;
const TTL: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(60);

/// So many increments of the others pass before the stalled task goes on.
const LATE_BY: usize = 100;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> ExitCode {
    run().await.unwrap_or_else(|error| {
        eprintln!("demo: {error}");
        ExitCode::FAILURE
    })
}

async fn run() -> Result<ExitCode> {
    println!(
        "No server: {TASKS} tasks of one process add 1 to the same counter, {TARGET} times in all, under one\n\
         lock on the memory store. One is aborted while it holds the lock; another stalls until the lock\n\
         has gone to somebody else, then writes. No update may be lost. This shows the lock and the\n\
         fence; it does not show a network, or processes that die. For those: a Redis server.\n"
    );
    let started = TokioRuntime::new().now();
    let (sender, reports) = unbounded_channel();
    let store = MemoryStore::new();
    let counter = Arc::new(Fenced::new(0));
    let tasks = (0..TASKS).map(|number| {
        let (orders, received) = unbounded_channel();
        let locker = Locker::new(store.clone());
        let task = Task {
            number,
            locker,
            counter: counter.clone(),
            reports: sender.clone(),
        };
        (orders, tokio::spawn(task.run(received)))
    });
    let (orders, handles) = tasks.unzip();
    drop(sender);
    let mut director = Director {
        orders,
        handles,
        scene: Scene::BeforeAbort,
        observed: Observed::default(),
    };
    let watched = tokio::time::timeout(LIMIT, director.watch(reports)).await;
    watched.map_err(|_| format!("stopped after {LIMIT:?} at {} of {TARGET}", counter.read()))??;
    director.observed.elapsed = TokioRuntime::new().now().since(started);
    Ok(director.observed.judge(counter.read()))
}

/// Go on, or stall the next time you hold the lock.
struct Order;

enum Report {
    Wrote(Hold),
    /// It holds the lock, has read, and waits.
    Stalled {
        task: usize,
        token: u64,
    },
    Refused {
        task: usize,
        error: FenceError,
    },
}

struct Task {
    number: usize,
    locker: Locker,
    counter: Arc<Fenced<u64>>,
    reports: UnboundedSender<Report>,
}

impl Task {
    async fn run(self, mut orders: UnboundedReceiver<Order>) -> Result<()> {
        let clock = TokioRuntime::new();
        let task = self.number;
        loop {
            let stall = orders.try_recv().is_ok();
            // A stalled task, unlike a frozen process, would still be renewed by its locker.
            let lock = self.locker.lock("demo").ttl(TTL).auto_renew(!stall);
            let guard = lock.acquire().await?;
            let granted_at = clock.now();
            let token = guard.token().value();
            match self.increment(&guard, stall, &mut orders).await {
                Ok(Some(value)) => {
                    let releasing_at = clock.now();
                    // The fence took the write, even if the lock was lost since.
                    let in_time = guard.release().await.is_ok();
                    let releasing_at = in_time.then_some(releasing_at);
                    self.reports.send(Report::Wrote(Hold {
                        task,
                        token,
                        value,
                        granted_at,
                        releasing_at,
                    }))?;
                }
                Ok(None) => {
                    // Nothing was written: never mind if it was lost.
                    let _ = guard.release().await;
                    self.locker.close().await;
                    return Ok(());
                }
                Err(error @ FenceError::Stale { .. }) => {
                    self.reports.send(Report::Refused { task, error })?
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The critical section. Returns the value written, or `None` when the counter is full.
    async fn increment(
        &self,
        guard: &Guard,
        stall: bool,
        orders: &mut UnboundedReceiver<Order>,
    ) -> Result<Option<u64>, FenceError> {
        let value = self.counter.claim(guard)?;
        if value >= TARGET {
            return Ok(None);
        }
        if stall {
            let stalled = Report::Stalled {
                task: self.number,
                token: guard.token().value(),
            };
            let _ = self.reports.send(stalled);
            let _ = orders.recv().await;
        }
        self.counter.write(guard, value + 1)?;
        Ok(Some(value + 1))
    }
}

/// Has one task aborted and one stalled, and watches.
struct Director {
    orders: Vec<UnboundedSender<Order>>,
    handles: Vec<JoinHandle<Result<()>>>,
    scene: Scene,
    observed: Observed,
}

/// What is to happen next.
#[derive(Clone, Copy)]
enum Scene {
    BeforeAbort,
    AbortOrdered,
    BeforeStall,
    StallOrdered,
    Stalled {
        task: usize,
        token: u64,
        since: Instant,
    },
    Over,
}

impl Director {
    /// Until all tasks have ended.
    async fn watch(&mut self, mut reports: UnboundedReceiver<Report>) -> Result<()> {
        while let Some(report) = reports.recv().await {
            match report {
                Report::Wrote(hold) => self.wrote(hold)?,
                Report::Stalled { task, token } => self.stalled(task, token),
                Report::Refused { task, error } => {
                    self.observed.refusals += 1;
                    self.say(&format!("task {task}'s late write was rejected: {error}"));
                }
            }
        }
        clear_line();
        for (task, handle) in self.handles.iter_mut().enumerate() {
            match handle.await {
                Err(aborted) if aborted.is_cancelled() && self.observed.aborted == Some(task) => {}
                ended => ended??,
            }
        }
        Ok(())
    }

    fn wrote(&mut self, hold: Hold) -> Result<()> {
        let Hold { task, value, .. } = hold;
        self.observed.holds.push(hold);
        show_progress(value);
        self.scene = match self.scene {
            Scene::BeforeAbort if value >= TARGET / 4 => {
                self.orders[task].send(Order)?;
                Scene::AbortOrdered
            }
            Scene::BeforeStall if value >= TARGET / 2 => {
                self.orders[task].send(Order)?;
                Scene::StallOrdered
            }
            Scene::Stalled { task, token, since } if self.newer_than(token) >= LATE_BY => {
                let stalled_for = TokioRuntime::new().now().since(since);
                self.say(&format!("task {task} goes on after {stalled_for:.1?}; {LATE_BY} increments came meanwhile"));
                self.observed.stalled = Some((task, stalled_for));
                self.orders[task].send(Order)?;
                Scene::Over
            }
            scene => scene,
        };
        Ok(())
    }

    fn stalled(&mut self, task: usize, token: u64) {
        if let Scene::AbortOrdered = self.scene {
            self.handles[task].abort();
            self.observed.aborted = Some(task);
            self.say(&format!(
                "task {task} aborted while it holds the lock: that drops its guard, which releases"
            ));
            self.scene = Scene::BeforeStall;
        } else {
            let since = TokioRuntime::new().now();
            self.say(&format!(
                "task {task} stalls while it holds the lock, without renewal"
            ));
            self.scene = Scene::Stalled { task, token, since };
        }
    }

    fn newer_than(&self, token: u64) -> usize {
        self.observed
            .holds
            .iter()
            .filter(|hold| hold.token > token)
            .count()
    }

    fn say(&self, line: &str) {
        clear_line();
        println!(
            "{:>5}: {line}",
            self.observed.holds.last().map_or(0, |hold| hold.value)
        );
    }
}

fn show_progress(value: u64) {
    if io::stdout().is_terminal() {
        let full = usize::try_from(value * 40 / TARGET).unwrap_or(0);
        print!(
            "\r{}{} {value} of {TARGET}",
            "█".repeat(full),
            "░".repeat(40 - full)
        );
        let _ = io::stdout().flush();
    } else if value.is_multiple_of(TARGET / 10) {
        println!("{value:>5} of {TARGET}");
    }
}

fn clear_line() {
    if io::stdout().is_terminal() {
        print!("\r\x1b[K");
    }
}
