//! The parent: starts the workers, kills one and freezes one while they hold the lock, and says
//! what came out.
//!
//! Both happen at a known point. A worker that is told to stall says so when it has the lock and
//! has read the counter, and waits. Nothing here depends on a sleep being long enough.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use dlock_core::Instant;
use dlock_core::runtime::{Runtime, TokioRuntime, timeout};
use dlock_workloads::Server;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::outcome::{Frozen, Hold, Holder, Observed, Outcome, Write};
use crate::place::Place;
use crate::progress::Progress;
use crate::protocol::{Order, Report};
use crate::workers::{Event, Worker};
use crate::{Result, TARGET, TTL, WORKERS};

const KILL_AT: u64 = TARGET / 4;
const FREEZE_AT: u64 = TARGET / 2;

/// So many increments of the others pass before the frozen worker wakes.
const LATE_BY: usize = 100;

/// The longest that all of it may take.
const LIMIT: Duration = Duration::from_secs(300);

pub async fn run(place: &Place) -> Result<ExitCode> {
    let (mut server, version) = meet(place).await.map_err(|error| {
        format!(
            "no connection to {} at {} ({error}): start it, or run `cargo xtask demo --real`",
            place.store, place.url
        )
    })?;
    println!(
        "{WORKERS} processes add 1 to the same counter, {TARGET} times in all, under one lock on {version}.\n\
         One is killed while it holds the lock. Another is frozen until the lock has gone to\n\
         somebody else; then it wakes and writes. No update may be lost.\n"
    );
    let (sender, mut events) = unbounded_channel();
    watch_signals(&sender)?;

    let requests_before = server.requests().await?;
    let mut parent = Parent::start(place, &sender)?;
    let interrupted = parent.watch(&mut events).await?;
    let requests = server.requests().await? - requests_before;
    let seen = server.number(&place.counter).await?;
    let observed = parent.end();
    server.remove(&place.counter).await?;
    if let Some(exit) = interrupted {
        return Ok(exit);
    }

    let outcome = Outcome::new(observed, seen, requests);
    print!("{outcome}");
    let as_promised = outcome.failures().is_empty();
    Ok(if as_promised {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The server, and what it is.
async fn meet(place: &Place) -> Result<(Server, String)> {
    let mut server = Server::connect(place.store, &place.url).await?;
    let version = server.version().await?;
    Ok((server, version))
}

struct Parent {
    workers: BTreeMap<u32, Worker>,
    /// Those that have not ended.
    running: u32,
    scene: Scene,
    observed: Observed,
    progress: Progress,
    clock: TokioRuntime,
    started: Instant,
}

/// What is to happen next.
#[derive(Clone, Copy)]
enum Scene {
    BeforeKill,
    /// This worker is killed as soon as it stalls.
    KillOrdered(u32),
    BeforeFreeze,
    /// This worker is frozen as soon as it stalls.
    FreezeOrdered(u32),
    Frozen {
        worker: u32,
        token: u64,
        since: Instant,
    },
    Over,
}

impl Parent {
    fn start(place: &Place, events: &UnboundedSender<Event>) -> Result<Self> {
        let clock = TokioRuntime::new();
        let started = clock.now();
        let workers =
            (1..=WORKERS).map(|number| Ok((number, Worker::start(number, place, events.clone())?)));
        Ok(Self {
            workers: workers.collect::<Result<_>>()?,
            running: WORKERS,
            scene: Scene::BeforeKill,
            observed: Observed::default(),
            progress: Progress::start(),
            clock,
            started,
        })
    }

    /// Until all workers have ended, or somebody wants us to stop.
    async fn watch(&mut self, events: &mut UnboundedReceiver<Event>) -> Result<Option<ExitCode>> {
        while self.running > 0 {
            let now = self.clock.now();
            if now.since(self.started) >= LIMIT {
                return Err(self.too_slow().into());
            }
            // Long enough to idle, short enough to wake the frozen worker in time.
            let tick = now + Duration::from_millis(50);
            match timeout(&self.clock, tick, events.recv()).await {
                Ok(Some(Event::Said(worker, report))) => self.heard(worker, report)?,
                Ok(Some(Event::Ended(worker))) => self.ended(worker)?,
                Ok(Some(Event::Signal(name, number))) => {
                    self.progress.say(&format!("{name}: stopping"));
                    return Ok(Some(ExitCode::from(128 + number)));
                }
                Ok(None) | Err(_) => {}
            }
            self.wake_if_due()?;
        }
        self.observed.elapsed = self.clock.now().since(self.started);
        Ok(None)
    }

    /// Takes the bar and the workers away.
    fn end(self) -> Observed {
        self.observed
    }

    fn heard(&mut self, worker: u32, report: Report) -> Result<()> {
        match report {
            Report::Wrote {
                token,
                value,
                granted_at,
                releasing_at,
            } => {
                self.observed.writes.push(Write { token, value });
                self.observed.holds.push(Hold {
                    worker,
                    token,
                    granted_at,
                    releasing_at,
                });
                self.progress.reach(value);
                self.scene = match self.scene {
                    Scene::BeforeKill if value >= KILL_AT => {
                        self.worker(worker)?.order(Order::Stall)?;
                        Scene::KillOrdered(worker)
                    }
                    Scene::BeforeFreeze if value >= FREEZE_AT => {
                        self.worker(worker)?.order(Order::Stall)?;
                        Scene::FreezeOrdered(worker)
                    }
                    scene => scene,
                };
            }
            Report::Stalled { token, granted_at } => {
                self.observed.holds.push(Hold {
                    worker,
                    token,
                    granted_at,
                    releasing_at: None,
                });
                self.stalled(worker, token)?;
            }
            Report::Refused { token, why, lease } => {
                self.observed.refusals.push(Holder { worker, token });
                self.progress
                    .say(&format!("worker {worker}'s late write was rejected: {why}"));
                self.progress
                    .say(&format!("worker {worker} lost its lock: {lease}"));
            }
            Report::Finished { token, granted_at } => {
                self.observed.finished.insert(worker);
                self.observed.holds.push(Hold {
                    worker,
                    token,
                    granted_at,
                    releasing_at: None,
                });
            }
        }
        Ok(())
    }

    /// It holds the lock, has read the counter, and has not written.
    fn stalled(&mut self, worker: u32, token: u64) -> Result<()> {
        let pid = self.worker(worker)?.pid();
        let since = self.clock.now();
        self.scene = match self.scene {
            Scene::KillOrdered(chosen) if chosen == worker => {
                self.worker(worker)?.signal(Signal::KILL)?;
                self.progress.say(&format!(
                    "worker {worker} (pid {pid}) killed while it holds the lock: SIGKILL"
                ));
                self.observed.killed = Some(Holder { worker, token });
                Scene::BeforeFreeze
            }
            Scene::FreezeOrdered(chosen) if chosen == worker => {
                self.worker(worker)?.signal(Signal::STOP)?;
                self.progress.say(&format!(
                    "worker {worker} (pid {pid}) frozen while it holds the lock: SIGSTOP"
                ));
                Scene::Frozen {
                    worker,
                    token,
                    since,
                }
            }
            _ => return Err(format!("worker {worker} stalled without an order").into()),
        };
        Ok(())
    }

    /// Wakes the frozen worker when its TTL is over and the others have gone on.
    fn wake_if_due(&mut self) -> Result<()> {
        let Scene::Frozen {
            worker,
            token,
            since,
        } = self.scene
        else {
            return Ok(());
        };
        let frozen_for = self.clock.now().since(since);
        let newer = self
            .observed
            .holds
            .iter()
            .filter(|hold| hold.token > token)
            .count();
        if newer >= LATE_BY && frozen_for > TTL {
            self.worker(worker)?.order(Order::GoOn)?;
            self.worker(worker)?.signal(Signal::CONT)?;
            self.progress.say(&format!("worker {worker} woken after {frozen_for:.1?}; the others went on when its lease had ended"));
            let holder = Holder { worker, token };
            self.observed.frozen = Some(Frozen { holder, frozen_for });
            self.scene = Scene::Over;
        }
        Ok(())
    }

    fn ended(&mut self, worker: u32) -> Result<()> {
        self.running -= 1;
        let status = self.worker(worker)?.wait()?;
        let killed = self
            .observed
            .killed
            .is_some_and(|killed| killed.worker == worker);
        if killed || (status.success() && self.observed.finished.contains(&worker)) {
            return Ok(());
        }
        Err(format!("worker {worker} ended before the work was done ({status})").into())
    }

    fn worker(&mut self, number: u32) -> Result<&mut Worker> {
        self.workers
            .get_mut(&number)
            .ok_or_else(|| format!("there is no worker {number}").into())
    }

    fn too_slow(&self) -> String {
        let done = self.observed.writes.len();
        format!(
            "stopped after {LIMIT:?} with {done} of {TARGET} increments done: the server or this machine is too slow, or nobody gets the lock"
        )
    }
}

fn watch_signals(events: &UnboundedSender<Event>) -> Result<()> {
    for (kind, name) in [
        (SignalKind::interrupt(), "SIGINT"),
        (SignalKind::terminate(), "SIGTERM"),
        (SignalKind::hangup(), "SIGHUP"),
    ] {
        let mut arrivals = signal(kind)?;
        let events = events.clone();
        tokio::spawn(async move {
            arrivals.recv().await;
            let _ = events.send(Event::Signal(
                name,
                u8::try_from(kind.as_raw_value()).unwrap_or(0),
            ));
        });
    }
    Ok(())
}
