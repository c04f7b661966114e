//! The floors of the bench: the least that a lock on Redis can cost, on bare `redis` and one
//! multiplexed connection. No clean-up, no renewal, no waiting in order: nothing to use.
//!
//! - `floor`: `SET key id NX PX ttl`, and a script that deletes the key if it is still ours.
//! - `fenced-floor`: the same with a counter: one script `SET NX PX` + `INCR`, and the other.
//! - hand-over: a token passed between two connections with `LPUSH` and `BLPOP`.
#![allow(clippy::disallowed_methods)] // An application: it may use tokio directly.

#[path = "../bench_shared/mod.rs"]
mod shared;

use redis::aio::MultiplexedConnection;
use redis::{Script, cmd};
use shared::{Arguments, HOLD, Result, Turn, Workers, connect, name, now, report_more};

const TTL_MS: u64 = 30_000;
/// The token that ends the game.
const STOP: u64 = 0;
/// How long a token may take to come.
const PATIENCE_S: u64 = 20;

#[derive(Clone)]
struct Floor {
    connection: MultiplexedConnection,
    fenced: bool,
    take: Script,
    free: Script,
}

impl Floor {
    async fn connect(url: &str, fenced: bool) -> Result<Self> {
        Ok(Self {
            connection: connect(url).await?,
            fenced,
            take: Script::new(
                "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return redis.call('INCR', KEYS[2]) end return false",
            ),
            free: Script::new(
                "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
            ),
        })
    }

    async fn acquire_and_release(&mut self, key: &str, id: &str) -> Result<()> {
        if self.fenced {
            let mut take = self.take.prepare_invoke();
            let taken: Option<u64> = take
                .key(key)
                .key(format!("{key}:counter"))
                .arg(id)
                .arg(TTL_MS)
                .invoke_async(&mut self.connection)
                .await?;
            taken.ok_or("the floor's lock was held")?;
        } else {
            let taken: Option<String> = cmd("SET")
                .arg(key)
                .arg(id)
                .arg("NX")
                .arg("PX")
                .arg(TTL_MS)
                .query_async(&mut self.connection)
                .await?;
            taken.ok_or("the floor's lock was held")?;
        }
        let mut free = self.free.prepare_invoke();
        let freed: u64 = free
            .key(key)
            .arg(id)
            .invoke_async(&mut self.connection)
            .await?;
        if freed != 1 {
            return Err("the floor's lock was lost".into());
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse()?;
    let fenced = arguments.get("subject") == Some("fenced-floor");
    match arguments.case.as_str() {
        "sequential" => own_keys(&arguments, fenced, 1).await,
        "parallel-64" => own_keys(&arguments, fenced, 64).await,
        "contended-16" => passed_between_tasks(&arguments, HOLD).await,
        "ping-pong-2" => passed_between_tasks(&arguments, std::time::Duration::ZERO).await,
        "contended-processes" => passed_between_processes(&arguments).await,
        other => Err(format!("there is no floor for {other}").into()),
    }
}

/// So many tasks on one connection, each with a lock of its own.
async fn own_keys(arguments: &Arguments, fenced: bool, tasks: u64) -> Result<()> {
    let floor = Floor::connect(&arguments.url, fenced).await?;
    let case = name("own");
    let work = async |time: std::time::Duration| -> Result<f64> {
        let until = now() + time.as_nanos() as u64;
        let started = now();
        let mut all = Vec::new();
        for task in 0..tasks {
            let (mut floor, key) = (floor.clone(), format!("{case}-{task}"));
            let id = format!("{:032x}", now());
            all.push(tokio::spawn(async move {
                let mut count = 0_u64;
                while now() < until {
                    floor.acquire_and_release(&key, &id).await?;
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
    Ok(())
}

/// Waits for the token, holds it, passes it on; until the time is over.
async fn pass(
    mut connection: MultiplexedConnection,
    (from, to): (String, String),
    who: u64,
    hold: std::time::Duration,
    until: u64,
) -> Result<Vec<Turn>> {
    let mut turns = Vec::new();
    loop {
        let (_, order): (String, u64) = cmd("BLPOP")
            .arg(&from)
            .arg(PATIENCE_S)
            .query_async(&mut connection)
            .await?;
        if order == STOP {
            return Ok(turns);
        }
        let granted_at = now();
        if !hold.is_zero() {
            tokio::time::sleep(hold).await;
        }
        let released_at = now();
        let _: u64 = cmd("LPUSH")
            .arg(&to)
            .arg(order + 1)
            .query_async(&mut connection)
            .await?;
        turns.push(Turn {
            order,
            who,
            granted_at,
            released_at,
        });
        if granted_at > until {
            // Behind the token: the other has its last turn and goes, too.
            let _: u64 = cmd("RPUSH")
                .arg(&to)
                .arg(STOP)
                .query_async(&mut connection)
                .await?;
            return Ok(turns);
        }
    }
}

/// A connection on which a command may block for long.
async fn blocking(url: &str) -> Result<MultiplexedConnection> {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let client = redis::Client::open(url)?;
    Ok(client
        .get_multiplexed_async_connection_with_config(&config)
        .await?)
}

async fn passed_between_tasks(arguments: &Arguments, hold: std::time::Duration) -> Result<()> {
    let (a, b) = (name("a"), name("b"));
    let until = now() + arguments.time().as_nanos() as u64;
    let url = &arguments.url;
    let one = tokio::spawn(pass(
        blocking(url).await?,
        (a.clone(), b.clone()),
        0,
        hold,
        until,
    ));
    let two = tokio::spawn(pass(blocking(url).await?, (b, a.clone()), 1, hold, until));
    let _: u64 = cmd("LPUSH")
        .arg(&a)
        .arg(1)
        .query_async(&mut connect(url).await?)
        .await?;
    let mut turns = one.await??;
    turns.extend(two.await??);
    shared::report_turns(turns, 2);
    Ok(())
}

async fn passed_between_processes(arguments: &Arguments) -> Result<()> {
    if arguments.get("worker").is_some() {
        let who = arguments.number("worker")?;
        let connection = blocking(&arguments.url).await?;
        shared::ready().await?;
        let key = |who: u64| format!("{}-{who}", arguments.get("name").unwrap_or_default());
        let until = now() + arguments.time().as_nanos() as u64;
        let turns = pass(connection, (key(who), key(1 - who)), who, HOLD, until).await?;
        shared::tell(&turns);
        return Ok(());
    }
    let case = name("token");
    let mut workers = Workers::start(arguments, 2, &[("name", case.clone())])?;
    workers.go()?;
    let mut connection = connect(&arguments.url).await?;
    let _: u64 = cmd("LPUSH")
        .arg(format!("{case}-0"))
        .arg(1)
        .query_async(&mut connection)
        .await?;
    shared::report_turns(workers.turns()?, 2);
    Ok(())
}
