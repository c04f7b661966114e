//! Many who come, wait, give up and leave, over few names.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dlock_core::Locker;
use dlock_core::conformance::VirtualRuntime;
use dlock_core::error::AcquireError;
use dlock_core::runtime::Runtime;
use dlock_etcd::EtcdStore;
use dlock_etcd::etcd_client::{Client, GetOptions};

use crate::support::{Member, PATIENCE, raw, until, within};

const NAMES: usize = 3;
const TASKS: u64 = 9;
const TURNS: u32 = 300;

#[derive(Default)]
struct Seen {
    inside: [AtomicI64; NAMES],
    overlaps: AtomicU32,
    lost: AtomicU32,
    turns: AtomicU32,
    cut: AtomicU32,
    over: AtomicBool,
    tokens: Mutex<HashMap<usize, Vec<u64>>>,
}

async fn task(locker: Locker, seen: Arc<Seen>, seed: u64) {
    // Only for its random numbers.
    let random = VirtualRuntime::new(seed);
    while !seen.over.load(SeqCst) {
        let name = (random.random() % NAMES as u64) as usize;
        let lock = locker
            .lock(format!("storm/{name}"))
            .ttl(Duration::from_secs(6 + random.random() % 4));
        let patience = Duration::from_micros(random.random() % 150_000);
        let guard = if random.random().is_multiple_of(8) {
            match lock.try_acquire().await {
                // Its lease may have been revoked, or the machine be too busy.
                Err(AcquireError::TooSlow { .. }) => None,
                other => other.unwrap(),
            }
        } else {
            // Dropped wherever it stands.
            tokio::time::timeout(patience, lock.acquire())
                .await
                .ok()
                .map(Result::unwrap)
        };
        let Some(guard) = guard else {
            seen.cut.fetch_add(1, SeqCst);
            continue;
        };
        if seen.inside[name].fetch_add(1, SeqCst) > 0 {
            seen.overlaps.fetch_add(1, SeqCst);
        }
        let token = guard.token().value();
        seen.tokens
            .lock()
            .unwrap()
            .entry(name)
            .or_default()
            .push(token);
        let hold = random.random() % 8;
        tokio::time::sleep(Duration::from_millis(if hold == 7 {
            120
        } else {
            hold / 2
        }))
        .await;
        let believed = guard.check().is_ok();
        seen.inside[name].fetch_sub(1, SeqCst);
        seen.turns.fetch_add(1, SeqCst);
        if random.random().is_multiple_of(4) {
            drop(guard);
        } else if guard.release().await.is_err() || !believed {
            seen.lost.fetch_add(1, SeqCst);
        }
    }
}

async fn storm(member: &Member, chaos: impl AsyncFn(&Client, u64)) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let mut lockers = Vec::new();
    for _ in 0..3 {
        let store = EtcdStore::connect([member.endpoint()]).await.unwrap();
        lockers.push(Locker::new(store));
    }
    let tasks: Vec<_> = (0..TASKS)
        .map(|seed| {
            let locker = lockers[seed as usize % lockers.len()].clone();
            tokio::spawn(task(locker, seen.clone(), seed))
        })
        .collect();
    let client = raw(&member.endpoint()).await;
    let goal = async {
        let random = VirtualRuntime::new(99);
        while seen.turns.load(SeqCst) < TURNS {
            chaos(&client, random.random()).await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    within(6 * PATIENCE, goal).await;
    seen.over.store(true, SeqCst);
    for task in tasks {
        within(PATIENCE, task).await.unwrap();
    }
    for locker in lockers {
        let unfinished = locker.close().await.unfinished;
        assert_eq!(unfinished, 0);
    }
    until("nothing is left", || async {
        let options = GetOptions::new().with_prefix();
        let keys = client
            .kv_client()
            .get("lock/", Some(options))
            .await
            .unwrap();
        let leases = client.lease_client().leases().await.unwrap();
        (keys.kvs().is_empty() && leases.leases().is_empty()).then_some(())
    })
    .await;
    println!(
        "{} turns, {} cut off, {} lost, {} overlaps",
        seen.turns.load(SeqCst),
        seen.cut.load(SeqCst),
        seen.lost.load(SeqCst),
        seen.overlaps.load(SeqCst)
    );
    for (name, tokens) in seen.tokens.lock().unwrap().iter() {
        let mut unique = tokens.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(
            unique.len(),
            tokens.len(),
            "a token of {name} was handed out twice"
        );
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_leaves_nothing_and_nobody_overlaps() {
    let Some(member) = Member::start() else {
        return;
    };
    let seen = storm(&member, async |_, _| {}).await;
    assert_eq!(seen.overlaps.load(SeqCst), 0);
    assert_eq!(seen.lost.load(SeqCst), 0);
    for tokens in seen.tokens.lock().unwrap().values() {
        assert!(tokens.is_sorted(), "tokens fell");
    }
}

/// Somebody deletes keys and revokes leases all the time: locks are lost, and nobody is stuck.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_among_operators_leaves_nothing_and_nobody_is_stuck() {
    let Some(member) = Member::start() else {
        return;
    };
    let seen = storm(&member, async |client, random| {
        let options = GetOptions::new().with_prefix();
        let keys = client
            .kv_client()
            .get("lock/storm", Some(options))
            .await
            .unwrap();
        let Some(victim) = keys.kvs().get((random % 16) as usize) else {
            return;
        };
        if random & 16 == 0 {
            client.kv_client().delete(victim.key(), None).await.unwrap();
        } else {
            // It may be gone already.
            let _ = client.lease_client().revoke(victim.lease()).await;
        }
    })
    .await;
    assert!(
        seen.lost.load(SeqCst) > 0,
        "nobody lost anything: this tests nothing"
    );
}
