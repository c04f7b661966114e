//! The bench's subject: dlock on Redis, as a user would write it.
#![allow(clippy::disallowed_methods)] // An application: it may use tokio directly.

#[path = "../bench_shared/mod.rs"]
mod shared;

use std::time::Duration;

use dlock_redis::RedisStore;
use dlock_redis::dlock_core::Locker;
use shared::{Arguments, HOLD, Result, Turn, Workers, connect, name, now, report, report_more};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse()?;
    match arguments.case.as_str() {
        "sequential" => own_keys(&arguments, 1).await,
        "parallel-64" => own_keys(&arguments, 64).await,
        "contended-16" => contended_tasks(&arguments).await,
        "ping-pong-2" => ping_pong(&arguments).await,
        "contended-processes" => contended_processes(&arguments).await,
        "idle-waiters" => idle_waiters(&arguments).await,
        "stampede" => stampede(&arguments).await,
        "held-10000" => held(&arguments).await,
        other => Err(format!("there is no case {other}").into()),
    }
}

async fn locker(url: &str) -> Result<Locker> {
    Ok(Locker::new(RedisStore::connect(url).await?))
}

/// So many tasks with one locker, each with a lock of its own.
async fn own_keys(arguments: &Arguments, tasks: u64) -> Result<()> {
    let locker = locker(&arguments.url).await?;
    let case = name("own");
    let work = async |time: Duration| -> Result<f64> {
        let until = now() + time.as_nanos() as u64;
        let started = now();
        let mut all = Vec::new();
        for task in 0..tasks {
            let (locker, name) = (locker.clone(), format!("{case}-{task}"));
            all.push(tokio::spawn(async move {
                let mut count = 0_u64;
                while now() < until {
                    locker.lock(&name).acquire().await?.release().await?;
                    count += 1;
                }
                Result::Ok(count)
            }));
        }
        let mut count = 0;
        for task in all {
            count += task.await??;
        }
        Ok(count as f64 / ((now() - started) as f64 / 1e9))
    };
    work(arguments.time() / 10).await?;
    report_more(
        "throughput",
        work(arguments.time()).await?,
        "acquisitions/s",
    );
    locker.close().await;
    Ok(())
}

/// Acquires, holds and releases until the time is over; the turns it had.
async fn contend(
    locker: Locker,
    name: String,
    who: u64,
    hold: Duration,
    until: u64,
) -> Result<Vec<Turn>> {
    let mut turns = Vec::new();
    while now() < until {
        let guard = locker.lock(&name).acquire().await?;
        let granted_at = now();
        if !hold.is_zero() {
            tokio::time::sleep(hold).await;
        }
        let order = guard.token().value();
        let released_at = now();
        guard.release().await?;
        turns.push(Turn {
            order,
            who,
            granted_at,
            released_at,
        });
    }
    Ok(turns)
}

/// Turns until somebody has left: then no longer everybody contends.
fn of_all(turns: Vec<Turn>, until: u64) -> Vec<Turn> {
    turns
        .into_iter()
        .filter(|turn| turn.released_at < until)
        .collect()
}

async fn contended_tasks(arguments: &Arguments) -> Result<()> {
    let mut server = connect(&arguments.url).await?;
    let locker = locker(&arguments.url).await?;
    let name = name("contended");
    shared::reset(&mut server).await?;
    let until = now() + arguments.time().as_nanos() as u64;
    let contend = |who| tokio::spawn(contend(locker.clone(), name.clone(), who, HOLD, until));
    let tasks: Vec<_> = (0..16).map(contend).collect();
    let mut turns = Vec::new();
    for task in tasks {
        turns.extend(task.await??);
    }
    let requests = shared::requests(&mut server).await?;
    report("requests/acquisition", requests / turns.len() as f64, "");
    shared::report_turns(of_all(turns, until), 16);
    locker.close().await;
    Ok(())
}

/// Two lockers, each on connections of its own.
async fn ping_pong(arguments: &Arguments) -> Result<()> {
    let (one, two) = (locker(&arguments.url).await?, locker(&arguments.url).await?);
    let name = name("ping-pong");
    let until = now() + arguments.time().as_nanos() as u64;
    let contend = |locker: &Locker, who| {
        tokio::spawn(contend(
            locker.clone(),
            name.clone(),
            who,
            Duration::ZERO,
            until,
        ))
    };
    let (first, second) = (contend(&one, 0), contend(&two, 1));
    let mut turns = first.await??;
    turns.extend(second.await??);
    shared::report_turns(of_all(turns, until), 2);
    one.close().await;
    two.close().await;
    Ok(())
}

async fn contended_processes(arguments: &Arguments) -> Result<()> {
    const PROCESSES: u64 = 16;
    if arguments.get("worker").is_some() {
        let who = arguments.number("worker")?;
        let locker = locker(&arguments.url).await?;
        shared::ready().await?;
        let until = now() + arguments.time().as_nanos() as u64;
        let name = arguments.get("name").unwrap_or_default().to_owned();
        shared::tell(&contend(locker.clone(), name, who, HOLD, until).await?);
        locker.close().await;
        return Ok(());
    }
    let mut server = connect(&arguments.url).await?;
    let mut workers = Workers::start(arguments, PROCESSES, &[("name", name("contended"))])?;
    shared::reset(&mut server).await?;
    workers.go()?;
    // A little less than what the workers count: the last turns are not among all.
    let until = now() + arguments.time().as_nanos() as u64 - 100_000_000;
    let turns = workers.turns()?;
    let requests = shared::requests(&mut server).await?;
    report("requests/acquisition", requests / turns.len() as f64, "");
    shared::report_turns(of_all(turns, until), PROCESSES);
    Ok(())
}

async fn idle_waiters(arguments: &Arguments) -> Result<()> {
    const PROCESSES: u64 = 16;
    if arguments.get("worker").is_some() {
        return wait_as_told(arguments, 1).await;
    }
    let mut server = connect(&arguments.url).await?;
    let holder = locker(&arguments.url).await?;
    let name = name("idle");
    let guard = holder
        .lock(&name)
        .ttl(Duration::from_secs(600))
        .acquire()
        .await?;
    let workers = waiting(arguments, &mut server, PROCESSES, 1, &name).await?;
    // What they asked to begin with does not count.
    tokio::time::sleep(Duration::from_secs(2)).await;
    shared::reset(&mut server).await?;
    let started = now();
    tokio::time::sleep(arguments.time()).await;
    let requests = shared::requests(&mut server).await?;
    let seconds = (now() - started) as f64 / 1e9;
    report(
        "requests/process/s",
        requests / PROCESSES as f64 / seconds,
        "",
    );
    drop(workers);
    guard.release().await?;
    holder.close().await;
    Ok(())
}

/// Workers with so many tasks each, all of which wait for this lock.
async fn waiting(
    arguments: &Arguments,
    server: &mut redis::aio::MultiplexedConnection,
    processes: u64,
    tasks: u64,
    name: &str,
) -> Result<Workers> {
    let options = [("name", name.to_owned()), ("tasks", tasks.to_string())];
    let mut workers = Workers::start(arguments, processes, &options)?;
    workers.go()?;
    in_queue(server, name, processes).await?;
    Ok(workers)
}

/// Until so many store instances wait.
async fn in_queue(
    server: &mut redis::aio::MultiplexedConnection,
    name: &str,
    expected: u64,
) -> Result<()> {
    let key = format!("{{lock:{name}}}dlock:queue:lock:{name}");
    let give_up = now() + 30_000_000_000;
    loop {
        let there: u64 = redis::cmd("ZCARD").arg(&key).query_async(server).await?;
        if there >= expected {
            // Until each has heard that wakeups come, and has looked once more.
            tokio::time::sleep(Duration::from_millis(500)).await;
            return Ok(());
        }
        if now() > give_up {
            return Err(format!("{there} of {expected} came to wait").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A worker: its tasks take the lock one after the other, and keep it for a moment.
async fn wait_as_told(arguments: &Arguments, tasks: u64) -> Result<()> {
    let tasks = arguments.number("tasks").unwrap_or(tasks);
    let locker = locker(&arguments.url).await?;
    shared::ready().await?;
    let name = arguments.get("name").unwrap_or_default().to_owned();
    let all = turns_of(&locker, &name, tasks);
    for task in all {
        task.await??;
    }
    locker.close().await;
    Ok(())
}

fn turns_of(locker: &Locker, name: &str, tasks: u64) -> Vec<tokio::task::JoinHandle<Result<()>>> {
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

/// So many attempts wait, in one process and in many; one release, and then each holds the lock for
/// a moment and is gone. Were more than one woken by a release, the requests would grow with them.
async fn stampede(arguments: &Arguments) -> Result<()> {
    const TASKS: u64 = 10;
    if arguments.get("worker").is_some() {
        return wait_as_told(arguments, TASKS).await;
    }
    let mut server = connect(&arguments.url).await?;
    let holder = locker(&arguments.url).await?;
    for tasks in [10, 100, 500] {
        let name = name("stampede");
        let guard = holder.lock(&name).acquire().await?;
        let waiters = locker(&arguments.url).await?;
        let all = turns_of(&waiters, &name, tasks);
        in_queue(&mut server, &name, 1).await?;
        shared::reset(&mut server).await?;
        guard.release().await?;
        for task in all {
            task.await??;
        }
        let requests = shared::requests(&mut server).await?;
        let metric = format!("requests/release, 1 x {tasks}");
        report(&metric, requests / (tasks + 1) as f64, "");
        waiters.close().await;
    }
    for processes in [1, 10, 50] {
        let name = name("stampede");
        let guard = holder.lock(&name).acquire().await?;
        let workers = waiting(arguments, &mut server, processes, TASKS, &name).await?;
        shared::reset(&mut server).await?;
        guard.release().await?;
        workers.turns()?;
        let requests = shared::requests(&mut server).await?;
        let metric = format!("requests/release, {processes} x {TASKS}");
        report(&metric, requests / (processes * TASKS + 1) as f64, "");
    }
    holder.close().await;
    Ok(())
}

/// Ten thousand locks held for the time, by one process.
async fn held(arguments: &Arguments) -> Result<()> {
    const LOCKS: usize = 10_000;
    const TTL: Duration = Duration::from_secs(10);
    let mut server = connect(&arguments.url).await?;
    let locker = locker(&arguments.url).await?;
    let case = name("held");
    drop(locker.lock(&case).acquire().await?);
    let before = resident()?;
    let started = now();
    let mut guards = Vec::with_capacity(LOCKS);
    let mut acquiring = tokio::task::JoinSet::new();
    for lock in 0..LOCKS {
        let lock = locker.lock(format!("{case}-{lock}")).ttl(TTL);
        acquiring.spawn(async move { lock.acquire().await });
        if acquiring.len() >= 64 {
            guards.extend(acquiring.join_next().await.transpose()?.transpose()?);
        }
    }
    while let Some(guard) = acquiring.join_next().await {
        guards.push(guard??);
    }
    report("all acquired after", (now() - started) as f64 / 1e9, "s");
    report(
        "memory per lock",
        resident()?.saturating_sub(before) as f64 / LOCKS as f64,
        "bytes",
    );
    shared::reset(&mut server).await?;
    let (started, cpu) = (now(), cpu_seconds()?);
    tokio::time::sleep(arguments.time()).await;
    let seconds = (now() - started) as f64 / 1e9;
    report(
        "requests/s",
        shared::requests(&mut server).await? / seconds,
        "",
    );
    report(
        "CPU",
        (cpu_seconds()? - cpu) / seconds * 100.0,
        "% of a core",
    );
    let lost = guards.iter().filter(|guard| guard.check().is_err()).count();
    report("lost", lost as f64, "");
    for guard in guards {
        drop(guard);
    }
    locker.close().await;
    Ok(())
}

/// Bytes of this process in memory.
fn resident() -> Result<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = pages.split(' ').nth(1).ok_or("no statm")?.parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// What this process has used of the processors.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after
        .split(' ')
        .skip(12)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok());
    Ok(ticks.sum::<u64>() as f64 / rustix::param::clock_ticks_per_second() as f64)
}
