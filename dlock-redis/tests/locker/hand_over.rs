//! A release that the next waiter of its own store instance takes along: one request hands the lock
//! over, whoever goes away meanwhile.

use std::sync::Arc;

use dlock_core::runtime::{Race, race};
use dlock_redis::RedisStore;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisFuture, Value};
use tokio::sync::{Notify, Semaphore};

use crate::queue::queued;
use crate::support::{PATIENCE, Server, raw, redis, send, skip, unique, within};
use crate::{SECOND, acquire, locker};

/// Within one store instance a release brings the next in line its grant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_hands_the_lock_over() {
    const TASKS: u64 = 50;
    let Some(own) = Server::start() else {
        return;
    };
    let server = raw(&own.url()).await;
    let locker = locker(&own.url()).await;
    let guard = acquire(&locker, "handed", 60 * SECOND).await;
    let turns: Vec<_> = (0..TASKS)
        .map(|_| {
            let lock = locker.lock("handed");
            tokio::spawn(async move { lock.acquire().await.unwrap().release().await.unwrap() })
        })
        .collect();
    queued(&server, "handed", 1).await;
    let () = send(&server, &["CONFIG", "RESETSTAT"]).await;
    guard.release().await.unwrap();
    for turn in turns {
        within(PATIENCE, turn).await.unwrap();
    }
    let stats: String = send(&server, &["INFO", "commandstats"]).await;
    let calls = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="))
        .and_then(|rest| rest.split(',').next()?.parse::<u64>().ok())
        .unwrap();
    // One for each release, and a few by those who came late; two each without the hand-over.
    assert!(
        calls < TASKS * 3 / 2,
        "{calls} requests for {TASKS} acquisitions"
    );
}

/// A future that nobody polls is granted nothing: the lock goes to others after its grace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_that_is_not_polled_holds_up_nobody() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let server = raw(&url).await;
    let (one, other) = (locker(&url).await, locker(&url).await);
    let name = unique("unpolled");
    let guard = acquire(&one, &name, 60 * SECOND).await;
    let mut unpolled = Box::pin(one.lock(&name).ttl(60 * SECOND).acquire());
    tokio::select! {
        _ = &mut unpolled => unreachable!("the lock is held"),
        () = queued(&server, &name, 1) => {}
    }
    let next = tokio::spawn(other.lock(&name).acquire());
    queued(&server, &name, 2).await;
    within(SECOND, guard.release()).await.unwrap();
    let next = within(3 * SECOND, next).await.unwrap().unwrap();
    next.release().await.unwrap();
    let late = within(PATIENCE, unpolled).await.unwrap();
    late.release().await.unwrap();
}

/// Whenever the next in line goes away, the release it takes along is done, and nothing of it is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_dropped_while_it_takes_a_release_along_leaves_nothing() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let server = raw(&url).await;
    let (one, other) = (locker(&url).await, locker(&url).await);
    for round in 0..200 {
        let name = unique("dropped");
        let guard = acquire(&one, &name, 60 * SECOND).await;
        let next = tokio::spawn(one.lock(&name).ttl(60 * SECOND).acquire());
        queued(&server, &name, 1).await;
        let goes_away = async {
            for _ in 0..round % 40 {
                tokio::task::yield_now().await;
            }
            next.abort();
        };
        let (released, ()) = tokio::join!(guard.release(), goes_away);
        released.unwrap();
        // With the guard, should it have been granted before it was aborted.
        drop(next);
        let guard = within(SECOND * 3 / 2, other.lock(&name).acquire()).await;
        guard.unwrap().release().await.unwrap();
    }
}

/// A connection that sends a request with a release and an attempt when it may.
#[derive(Clone)]
struct Gated {
    inner: MultiplexedConnection,
    arrived: Arc<Notify>,
    gate: Arc<Semaphore>,
}

impl ConnectionLike for Gated {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            // Neither alone has so many words.
            if command.args_iter().count() > 14 {
                self.arrived.notify_one();
                self.gate.acquire().await.unwrap().forget();
            }
            self.inner.req_packed_command(command).await
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.inner.req_packed_commands(commands, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}

/// R3: the clean-up of a waiter that has taken a release along hears that request to its end, which
/// its releaser may have sent later. So nothing is left to be repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_two_can_send_is_heard_before_the_clean_up() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let server = raw(&url).await;
    let gated = Gated {
        inner: raw(&url).await,
        arrived: Arc::default(),
        gate: Arc::new(Semaphore::new(0)),
    };
    let (arrived, gate) = (gated.arrived.clone(), gated.gate.clone());
    let store = RedisStore::from_connection(gated);
    let (one, other) = (dlock_core::Locker::new(store), locker(&url).await);
    // On a busy machine the next one may come too late for the release, which then goes by itself.
    for _ in 0..50 {
        let name = unique("heard");
        let guard = acquire(&one, &name, 60 * SECOND).await;
        let next = tokio::spawn(one.lock(&name).ttl(60 * SECOND).acquire());
        queued(&server, &name, 1).await;
        let mut released = tokio::spawn(guard.release());
        let shared = race(arrived.notified(), &mut released);
        let Race::First(()) = within(PATIENCE, shared).await else {
            let guard = within(PATIENCE, next).await.unwrap().unwrap();
            guard.release().await.unwrap();
            continue;
        };
        next.abort();
        assert!(next.await.is_err());
        gate.add_permits(1);
        within(PATIENCE, released).await.unwrap().unwrap();
        let guard = within(PATIENCE, other.lock(&name).acquire()).await.unwrap();
        assert_eq!(within(PATIENCE, one.close()).await.unfinished, 0);
        return guard.release().await.unwrap();
    }
    panic!("no request was ever shared");
}
