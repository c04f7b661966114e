//! The waiting queue on a real server: who is frozen, killed, cut off or forgotten delays nobody for
//! long (R11).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dlock_core::Guard;
use dlock_core::fence::Fenced;
use dlock_core::store::LockStore;
use dlock_redis::RedisStore;
use futures_util::future::join_all;
use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::processes::Child;
use crate::support::{PATIENCE, Server, raw, redis, send, skip, unique, within};
use crate::{SECOND, acquire, locker};

/// Waits until so many store instances stand in the queue.
pub(crate) async fn queued(server: &MultiplexedConnection, name: &str, expected: u64) {
    let key = queue(name);
    let come = async {
        while send::<u64>(server, &["ZCARD", &key]).await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // Less than an entry lives that nobody takes out.
    within(10 * SECOND, come).await;
}

pub(crate) fn queue(name: &str) -> String {
    format!("{{lock:{name}}}dlock:queue:lock:{name}")
}

/// `dead-head`, with a real process: the next one need not wait for it, and it is not forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_head_delays_the_next_a_little() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let server = raw(&url).await;
    let (holder, next) = (locker(&url).await, locker(&url).await);
    let name = unique("frozen-head");
    let guard = acquire(&holder, &name, 60 * SECOND).await;
    let mut head = Child::start(&url, &name, "hold");
    queued(&server, &name, 1).await;
    let waiting = tokio::spawn(next.lock(&name).acquire());
    queued(&server, &name, 2).await;
    let behind = locker(&url).await;
    let last = tokio::spawn(behind.lock(&name).acquire());
    queued(&server, &name, 3).await;
    let first: Vec<String> = send(&server, &["ZRANGE", &queue(&name), "0", "0"]).await;
    head.signal("STOP");
    guard.release().await.unwrap();
    // Well below the 2.5 s after which the second in line looks by itself.
    let second = within(SECOND * 3 / 2, waiting).await.unwrap().unwrap();
    // It costs its grace once, and not at every release: it comes back to the end when it can.
    let order: Vec<String> = send(&server, &["ZRANGE", &queue(&name), "0", "-1"]).await;
    assert!(order.len() == 1 && order != first, "{order:?}");
    head.signal("CONT");
    second.release().await.unwrap();
    let third = within(PATIENCE, last).await.unwrap().unwrap();
    third.release().await.unwrap();
    assert!(head.line().starts_with("held "));
}

/// Whoever leaves while the lock is in line for him passes it on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_waiters_that_were_cancelled() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let server = raw(&url).await;
    let (holder, waiting) = (locker(&url).await, locker(&url).await);
    let name = unique("cancelled");
    let guard = acquire(&holder, &name, 60 * SECOND).await;
    let waiters: Vec<_> = (0..20)
        .map(|_| tokio::spawn(waiting.lock(&name).acquire()))
        .collect();
    queued(&server, &name, 1).await;
    waiters.iter().for_each(tokio::task::JoinHandle::abort);
    queued(&server, &name, 0).await;
    guard.release().await.unwrap();
    let left: Vec<String> = send(&server, &["KEYS", &format!("*{name}*")]).await;
    assert_eq!(left, [format!("{{lock:{name}}}dlock:counter:lock:{name}")]);
}

/// A foreign lock without an expiry is given up without a word to us.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_release_is_noticed() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let server = raw(&url).await;
    let name = unique("silent");
    let key = format!("lock:{name}");
    let () = send(&server, &["SET", &key, "somebody else's"]).await;
    let store = RedisStore::connect(&*url).await.unwrap();
    // Its wakeups come already, so that the wait begins with a single look.
    take_turns(&url, store.clone()).await;
    let locker = dlock_core::Locker::new(store);
    let waiting = tokio::spawn(locker.lock(&name).acquire());
    queued(&server, &name, 1).await;
    let _: u64 = send(&server, &["DEL", &key]).await;
    let guard = within(3 * SECOND, waiting).await.unwrap().unwrap();
    guard.release().await.unwrap();
}

/// The first who finds that the queue was lost tells the others: they need not find out by their own
/// slow looks, of 3.4 s and more for the last ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_queue_is_formed_again() {
    let Some(own) = Server::start() else {
        return;
    };
    let server = raw(&own.url()).await;
    let () = send(&server, &["SET", "lock:lost", "somebody else's"]).await;
    let mut waiting = Vec::new();
    for there in 0..8 {
        let store = RedisStore::connect(own.url()).await.unwrap();
        take_turns(&own.url(), store.clone()).await;
        let lock = dlock_core::Locker::new(store).lock("lost");
        waiting.push(tokio::spawn(lock.acquire()));
        queued(&server, "lost", there + 1).await;
    }
    let words = [
        "EVAL",
        "redis.call('FLUSHALL') redis.call('SET', 'lock:lost', 'x')",
        "0",
    ];
    let () = send(&server, &words).await;
    within(3 * SECOND, queued(&server, "lost", 8)).await;
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

/// A server that does not speak RESP3 to us: waiting attempts poll, in the same order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_hello_waiters_poll() {
    let Some(server) = Server::start_with(&["--rename-command", "HELLO", ""]) else {
        return;
    };
    take_turns(
        &server.url(),
        RedisStore::connect(server.url()).await.unwrap(),
    )
    .await;
}

/// A user's own connection cannot be pushed to, unless he gives a client for wakeups.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_connection_polls_and_wakeups_can_be_added() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let bare = RedisStore::from_connection(raw(&url).await);
    assert!(!bare.capabilities().push);
    take_turns(&url, bare).await;
    let client = redis::Client::open(&*url).unwrap();
    let builder = RedisStore::builder().connection(raw(&url).await);
    let pushed = builder.wakeups(client).connect().await.unwrap();
    assert!(pushed.capabilities().push);
    take_turns(&url, pushed).await;
}

/// Three attempts of this store wait in line, and get the lock.
async fn take_turns(url: &str, store: RedisStore) {
    let (holder, waiting) = (locker(url).await, dlock_core::Locker::new(store));
    let name = unique("turns");
    let guard = acquire(&holder, &name, 60 * SECOND).await;
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let lock = waiting.lock(&name);
            tokio::spawn(async move { lock.acquire().await?.release().await.map_err(Error::from) })
        })
        .collect();
    queued(&raw(url).await, &name, 1).await;
    guard.release().await.unwrap();
    for waiter in waiters {
        within(PATIENCE, waiter).await.unwrap().unwrap();
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_wakeup_links_strand_nobody() {
    assert_eq!(disturbed(&["CLIENT", "KILL", "TYPE", "pubsub"]).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_strand_nobody() {
    let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
    assert_eq!(disturbed(&kill).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_server_strands_nobody() {
    disturbed(&["FLUSHALL"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_lock_key_strands_nobody() {
    disturbed(&["DEL", "lock:contended"]).await;
}

/// Five store instances with ten attempts each want one lock; the command comes ten times. The
/// counter stays exact, and nobody waits much longer than it takes to notice (R11: about 2 s).
/// Returns how often two held the lock at once.
async fn disturbed(command: &[&str]) -> u64 {
    let Some(server) = Server::start() else {
        return 0;
    };
    let (believers, overlaps) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counter = Arc::new(Fenced::new(0_u64));
    let (done, acknowledged) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut waiters = Vec::new();
    for _ in 0..5 {
        let locker = locker(&server.url()).await;
        for _ in 0..10 {
            let (locker, counter) = (locker.clone(), counter.clone());
            let (done, acknowledged) = (done.clone(), acknowledged.clone());
            let (believers, overlaps) = (believers.clone(), overlaps.clone());
            waiters.push(tokio::spawn(async move {
                let mut longest = Duration::ZERO;
                while !done.load(Ordering::Acquire) {
                    let lock = locker.lock("contended").ttl(3 * SECOND).wait(PATIENCE);
                    let guard = lock.acquire().await.expect("nobody is stranded");
                    longest = longest.max(guard.waited());
                    if believers.fetch_add(1, Ordering::AcqRel) > 0 {
                        overlaps.fetch_add(1, Ordering::AcqRel);
                    }
                    if let Ok(value) = counter.claim(&guard) {
                        tokio::task::yield_now().await;
                        if counter.write(&guard, value + 1).is_ok() {
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    believers.fetch_sub(1, Ordering::AcqRel);
                    let _ = guard.release().await;
                }
                longest
            }));
        }
    }
    let behind = raw(&server.url()).await;
    for round in 1..=10 {
        // Once more, when those who were disturbed have got the lock a few times.
        let enough = acknowledged.load(Ordering::Acquire) + 60;
        let came = async {
            while acknowledged.load(Ordering::Acquire) < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within(PATIENCE, came).await;
        let _: Value = send(&behind, command).await;
        println!("{command:?}, the {round}. time");
    }
    done.store(true, Ordering::Release);
    let mut longest = Duration::ZERO;
    for waiter in waiters {
        longest = longest.max(within(PATIENCE, waiter).await.unwrap());
    }
    let overlaps = overlaps.load(Ordering::Acquire);
    println!("{command:?}: the longest wait {longest:?}, {overlaps} overlaps");
    assert!(longest < 5 * SECOND, "somebody waited {longest:?}");
    assert_eq!(counter.read(), acknowledged.load(Ordering::Acquire));
    overlaps
}

/// S8: a holder whose key was lost believes until its next renewal at most, and then knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_believe_for_a_renewal_interval_at_most_after_the_key_was_lost() {
    let Some(own) = Server::start() else {
        return;
    };
    let server = raw(&own.url()).await;
    let (one, two) = (locker(&own.url()).await, locker(&own.url()).await);
    for flushed in [false, true] {
        let mut holders = Vec::new();
        for round in 0..10 {
            let name = format!("lost-{round}");
            let holder = acquire(&one, &name, 3 * SECOND).await;
            holders.push((name, holder));
        }
        if flushed {
            let () = send(&server, &["FLUSHALL"]).await;
        } else {
            for (name, _) in &holders {
                let _: u64 = send(&server, &["DEL", &format!("lock:{name}")]).await;
            }
        }
        let overlap = |(name, holder): (String, Guard)| {
            let next = two.lock(name).acquire();
            async move {
                let next = within(SECOND, next).await.unwrap();
                let both_since = Instant::now();
                // A third of the TTL is the renewal interval.
                within(2 * SECOND, holder.ended()).await;
                let both = both_since.elapsed();
                assert!(holder.check().is_err());
                next.release().await.unwrap();
                both
            }
        };
        let longest = join_all(holders.into_iter().map(overlap))
            .await
            .into_iter()
            .max();
        println!("flushed: {flushed}, two believed for {longest:?} at most");
    }
}

/// Puts entries into the queue, and says that they are alive: of processes that were killed just now.
async fn dead(server: &MultiplexedConnection, name: &str, count: u64) {
    let script = "local time = redis.call('TIME')
        local till = string.format('%.0f', time[1] * 1000 + 15000)
        for i = 1, ARGV[1] do
            redis.call('ZADD', KEYS[1], i, 'dead' .. i .. ':1')
            redis.call('HSET', KEYS[2], 'dead' .. i .. ':1', till)
        end";
    let alive = queue(name).replace("dlock:queue", "dlock:alive");
    let words = [
        "EVAL",
        script,
        "2",
        &queue(name),
        &alive,
        &count.to_string(),
    ];
    let () = send(server, &words).await;
}

/// Each costs a grace, and that once; not the slow looks of those who wait behind them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_heads_cost_a_grace_each_and_once() {
    let Some(own) = Server::start() else {
        return;
    };
    let server = raw(&own.url()).await;
    let holder = locker(&own.url()).await;
    let store = RedisStore::connect(own.url()).await.unwrap();
    take_turns(&own.url(), store.clone()).await;
    let next = dlock_core::Locker::new(store);
    let guard = acquire(&holder, "dead", 60 * SECOND).await;
    dead(&server, "dead", 4).await;
    let turn = || {
        let lock = next.lock("dead");
        tokio::spawn(async move { lock.acquire().await?.release().await.map_err(Into::into) })
    };
    let waiting: Vec<tokio::task::JoinHandle<Result<(), BoxError>>> =
        (0..60).map(|_| turn()).collect();
    queued(&server, "dead", 5).await;
    guard.release().await.unwrap();
    // Four graces are 2 s.
    within(5 * SECOND, async {
        for turn in waiting {
            turn.await.unwrap().unwrap();
        }
    })
    .await;
}

/// A dead head that cannot be taken out does not hold up the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_writes_is_not_held_up_by_a_dead_head() {
    let Some(own) = Server::start() else {
        return;
    };
    let server = raw(&own.url()).await;
    let holder = locker(&own.url()).await;
    let guard = acquire(&holder, "stuck", 60 * SECOND).await;
    dead(&server, "stuck", 3).await;
    let alive = queue("stuck").replace("dlock:queue", "dlock:alive");
    let _: u64 = send(&server, &["DEL", &alive]).await;
    let () = send(&server, &["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    assert!(
        holder
            .lock("stuck")
            .try_acquire()
            .await
            .is_ok_and(|guard| guard.is_none())
    );
    assert!(holder.lock("other").try_acquire().await.is_err());
    within(PATIENCE, guard.release()).await.unwrap_err();
    let () = send(&server, &["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
}

/// The lock was lost with the queue, so nobody releases it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_was_lost_with_its_lock_is_formed_again() {
    let Some(own) = Server::start() else {
        return;
    };
    let server = raw(&own.url()).await;
    let holder = locker(&own.url()).await;
    let guard = acquire(&holder, "flushed", 60 * SECOND).await;
    let mut waiting = Vec::new();
    for there in 0..10 {
        let store = RedisStore::connect(own.url()).await.unwrap();
        take_turns(&own.url(), store.clone()).await;
        let lock = dlock_core::Locker::new(store).lock("flushed");
        waiting.push(tokio::spawn(async move {
            lock.acquire().await.unwrap().release().await.unwrap();
        }));
        queued(&server, "flushed", there + 1).await;
    }
    let () = send(&server, &["FLUSHALL"]).await;
    within(3 * SECOND, async {
        for turn in waiting {
            turn.await.unwrap();
        }
    })
    .await;
    drop(guard);
}

/// Attempts whose runtime has ended while their store lives on leave no entry that nobody serves.
#[test]
fn attempts_whose_runtime_has_ended_are_forgotten() {
    let Some(own) = Server::start() else {
        return;
    };
    let url = own.url();
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    };
    let lasting = runtime();
    let store = lasting.block_on(RedisStore::connect(&*url)).unwrap();
    let holder = lasting.block_on(locker(&url));
    let guard = lasting.block_on(acquire(&holder, "ended", 60 * SECOND));
    let short = runtime();
    let gone = short.block_on(async { dlock_core::Locker::new(store.clone()) });
    short.spawn(gone.lock("ended").acquire());
    lasting.block_on(async { queued(&raw(&url).await, "ended", 1).await });
    drop((gone, short));
    lasting.block_on(async {
        guard.release().await.unwrap();
        let server = raw(&url).await;
        let other = dlock_core::Locker::new(store.clone());
        for _ in 0..2 {
            let lock = other.lock("ended");
            within(10 * SECOND, lock.acquire())
                .await
                .unwrap()
                .release()
                .await
                .unwrap();
        }
        queued(&server, "ended", 0).await;
    });
}

/// A foreign client takes the lock while it is in line for the head: that is not the head's fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_a_foreign_client_has_passed_keeps_its_place() {
    let Some(own) = Server::start() else {
        return;
    };
    let server = raw(&own.url()).await;
    let () = send(&server, &["SET", "lock:passed", "somebody else's"]).await;
    let (one, two) = (locker(&own.url()).await, locker(&own.url()).await);
    let mut waiting = Vec::new();
    for (there, locker) in [one, two].iter().enumerate() {
        waiting.push(tokio::spawn(locker.lock("passed").acquire()));
        queued(&server, "passed", there as u64 + 1).await;
    }
    let order = ["ZRANGE", &queue("passed"), "0", "-1"];
    let before: Vec<String> = send(&server, &order).await;
    let reservation = queue("passed").replace("dlock:queue", "dlock:reservation");
    let () = send(&server, &["SET", &reservation, &format!("1:{}", before[0])]).await;
    // Somebody's next look.
    within(4 * SECOND, async {
        while send::<u64>(&server, &["EXISTS", &reservation]).await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let after: Vec<String> = send(&server, &order).await;
    assert_eq!(after, before);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
