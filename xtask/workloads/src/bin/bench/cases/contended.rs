//! Many, one lock: how long a hand-over takes.

use std::time::Duration;

use dlock_core::{Guard, Locker};
use dlock_workloads::{Result, Server};

use crate::arguments::Arguments;
use crate::figures::report;
use crate::floors::{EtcdToken, RedisToken, Token};
use crate::subject::Subject;
use crate::turns::{Player, Turn, play, report_latecomers, report_turns, tell};
use crate::workers::{Workers, ready};
use crate::{name, now};

/// Somebody who contends for a lock.
struct Contender {
    locker: Locker,
    name: String,
    guard: Option<Guard>,
}

impl Contender {
    fn new(locker: &Locker, name: &str) -> Self {
        Self {
            locker: locker.clone(),
            name: name.to_owned(),
            guard: None,
        }
    }
}

impl Player for Contender {
    async fn begin(&mut self) -> Result<Option<u64>> {
        let guard = self.locker.lock(&self.name).acquire().await?;
        let order = guard.token().value();
        self.guard = Some(guard);
        Ok(Some(order))
    }

    async fn end(&mut self, _: bool) -> Result<()> {
        match self.guard.take() {
            Some(guard) => Ok(guard.release().await?),
            None => Ok(()),
        }
    }
}

/// So many tasks with one locker.
pub async fn tasks(arguments: &Arguments, tasks: u64) -> Result<()> {
    let store = match arguments.subject {
        Subject::Ours(store) => store,
        Subject::RedisFloor { .. } => return between_tasks::<RedisToken>(arguments).await,
        Subject::EtcdFloor => return between_tasks::<EtcdToken>(arguments).await,
    };
    let mut server = Server::connect(store, &arguments.url).await?;
    let locker = store.locker(&arguments.url).await?;
    let name = name("contended");
    let before = server.requests().await?;
    let until = now() + arguments.time.as_nanos() as u64;
    let contenders = (0..tasks).map(|_| Contender::new(&locker, &name));
    let turns = together(contenders, arguments, until).await?;
    let requests = server.requests().await? - before;
    report_requests(requests, &turns);
    report_turns(of_all(turns, until), tasks);
    locker.close().await;
    Ok(())
}

/// Two lockers, each on connections of its own.
pub async fn instances(arguments: &Arguments) -> Result<()> {
    let store = match arguments.subject {
        Subject::Ours(store) => store,
        Subject::RedisFloor { .. } => return between_tasks::<RedisToken>(arguments).await,
        Subject::EtcdFloor => return between_tasks::<EtcdToken>(arguments).await,
    };
    let (one, two) = (
        store.locker(&arguments.url).await?,
        store.locker(&arguments.url).await?,
    );
    let name = name("ping-pong");
    let until = now() + arguments.time.as_nanos() as u64;
    let contenders = [&one, &two].map(|locker| Contender::new(locker, &name));
    let turns = of_all(together(contenders, arguments, until).await?, until);
    report_latecomers(&turns);
    report_turns(turns, 2);
    one.close().await;
    two.close().await;
    Ok(())
}

/// So many processes.
pub async fn processes(arguments: &Arguments, processes: u64) -> Result<()> {
    let store = match arguments.subject {
        Subject::Ours(store) => store,
        Subject::RedisFloor { .. } => return between_processes::<RedisToken>(arguments).await,
        Subject::EtcdFloor => return between_processes::<EtcdToken>(arguments).await,
    };
    if let Some(who) = arguments.worker()? {
        let locker = store.locker(&arguments.url).await?;
        ready().await?;
        let until = now() + arguments.time.as_nanos() as u64;
        let contender = Contender::new(&locker, arguments.text("name")?);
        tell(&play(contender, who, (arguments.hold, arguments.think), until).await?);
        locker.close().await;
        return Ok(());
    }
    let mut server = Server::connect(store, &arguments.url).await?;
    let mut workers = Workers::start(arguments, processes, &[("name", name("contended"))])?;
    let before = server.requests().await?;
    workers.go()?;
    // A little less than what the workers count: the last turns are not among all.
    let until = now() + arguments.time.as_nanos() as u64 - 100_000_000;
    let turns = workers.turns()?;
    report_requests(server.requests().await? - before, &turns);
    report_turns(of_all(turns, until), processes);
    Ok(())
}

fn report_requests(requests: u64, turns: &[Turn]) {
    let each = requests as f64 / turns.len() as f64;
    report("requests/acquisition", each, "");
}

/// Turns until somebody has left: then no longer everybody contends.
fn of_all(turns: Vec<Turn>, until: u64) -> Vec<Turn> {
    turns
        .into_iter()
        .filter(|turn| turn.released_at < until)
        .collect()
}

async fn together(
    players: impl IntoIterator<Item = impl Player>,
    arguments: &Arguments,
    until: u64,
) -> Result<Vec<Turn>> {
    let times = (arguments.hold, arguments.think);
    let playing: Vec<_> = (0..)
        .zip(players)
        .map(|(who, player)| tokio::spawn(play(player, who, times, until)))
        .collect();
    let mut turns = Vec::new();
    for player in playing {
        turns.extend(player.await??);
    }
    Ok(turns)
}

/// The floor: two tasks pass a token.
async fn between_tasks<T: Token>(arguments: &Arguments) -> Result<()> {
    let (a, b) = (name("a"), name("b"));
    let url = &arguments.url;
    let one = T::connect(url, a.clone(), b.clone()).await?;
    let mut two = T::connect(url, b, a).await?;
    two.pass(1).await?;
    let until = now() + arguments.time.as_nanos() as u64;
    let times = (arguments.hold, Duration::ZERO);
    let one = tokio::spawn(play(one, 0, times, until));
    let two = tokio::spawn(play(two, 1, times, until));
    let mut turns = one.await??;
    turns.extend(two.await??);
    report_turns(turns, 2);
    Ok(())
}

/// The floor: two processes pass a token.
async fn between_processes<T: Token>(arguments: &Arguments) -> Result<()> {
    if let Some(who) = arguments.worker()? {
        let name = arguments.text("name")?;
        let place = |who: u64| format!("{name}-{who}");
        let mut token = T::connect(&arguments.url, place(who), place(1 - who)).await?;
        ready().await?;
        if who == 1 {
            token.pass(1).await?;
        }
        let until = now() + arguments.time.as_nanos() as u64;
        tell(&play(token, who, (arguments.hold, Duration::ZERO), until).await?);
        return Ok(());
    }
    let mut workers = Workers::start(arguments, 2, &[("name", name("token"))])?;
    workers.go()?;
    report_turns(workers.turns()?, 2);
    Ok(())
}
