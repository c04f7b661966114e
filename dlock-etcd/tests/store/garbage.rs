//! Whatever others put below a lock's name: it holds the lock like anybody, and nothing is made up of it.

use dlock_core::store::{
    Attempt, AttemptRequest, LockEvent, LockStore, Mode, Release, Renewal, Renewed,
};
use dlock_core::{Grant, Locker};
use dlock_etcd::EtcdStore;
use dlock_etcd::etcd_client::{Client, PutOptions};

use crate::support::{PATIENCE, count_panics, entries, etcd, raw, skip, unique, until, within};
use crate::{TTL, attempt_id, name, request};

/// Values as other programs write them, and some that nobody would.
fn values() -> Vec<Vec<u8>> {
    let id = attempt_id().expose();
    let mut all: Vec<Vec<u8>> = [
        "",
        " ",
        "held by somebody",
        "dlock1",
        "dlock1 ",
        "dlock1 holding",
        "dlock1 holding ",
        "dlock1 holding 12 label",
        "dlock1 sleeping 0123456789abcdef0123456789abcdef label",
        "dlock2 holding 0123456789abcdef0123456789abcdef label",
        "{\"holder\": \"json\"}",
        "é\u{0}\u{7f}\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec();
    all.push(format!("dlock1 holding {id}").into_bytes());
    all.push(format!("dlock1 holding {} label", id.to_uppercase()).into_bytes());
    all.push([b"dlock1 holding ", id.as_bytes(), b" \xff\xfe"].concat());
    all.push(vec![0xff; 16]);
    all.push(vec![0; 100_000]);
    all
}

/// What may stand behind the name, where dlock has a lease in hex.
const KEYS: [&str; 9] = [
    "",
    "1",
    "key",
    "-1",
    "ffffffffffffffffffff",
    "a/b",
    "0x1f",
    "%",
    "é",
];

struct Foreigner {
    client: Client,
    key: String,
}

impl Foreigner {
    /// With a lease, or without an end.
    async fn holding(endpoint: &str, key: String, value: &[u8], leased: bool) -> Self {
        let mut client = raw(endpoint).await;
        let mut options = PutOptions::new();
        if leased {
            let lease = client.lease_grant(60, None).await.unwrap().id();
            options = options.with_lease(lease);
        }
        client.put(key.clone(), value, Some(options)).await.unwrap();
        Self { client, key }
    }

    async fn leaves(mut self) {
        self.client.delete(self.key, None).await.unwrap();
    }
}

macro_rules! store {
    () => {{
        let Some(endpoint) = etcd() else {
            return skip("there is no etcd");
        };
        (EtcdStore::connect([&endpoint]).await.unwrap(), endpoint)
    }};
}

/// All of a holder's life, seen by dlock: it excludes, has no label, and is followed by who waits.
async fn is_a_foreign_holder(
    store: &EtcdStore,
    endpoint: &str,
    key: &str,
    value: &[u8],
    leased: bool,
) {
    let shown = format!(
        "{key:?}, {:?}",
        String::from_utf8_lossy(&value[..value.len().min(50)])
    );
    let lock = unique("foreign");
    let foreigner = Foreigner::holding(endpoint, format!("lock/{lock}/{key}"), value, leased).await;
    let locker = Locker::new(store.clone());
    let mut events = locker.watch(&lock).await.unwrap();

    let trying = AttemptRequest::new(name(&lock), attempt_id(), TTL, Mode::Try);
    let answer = store.attempt(&trying).await.unwrap();
    let Attempt::Busy {
        held_by,
        place: None,
    } = answer
    else {
        panic!("{shown}: {answer:?}");
    };
    assert_eq!(held_by.label, None, "{shown}");
    let seen = locker.inspect(&lock).await.unwrap().unwrap();
    assert_eq!((&seen.label, seen.waiters), (&None, Some(0)), "{shown}");
    assert_eq!(seen.time_left.is_some(), leased, "{shown}");
    let locked = within(PATIENCE, events.next()).await.unwrap();
    assert!(
        matches!(locked, LockEvent::Locked { label: None, .. }),
        "{shown}: {locked:?}"
    );

    let waiting = tokio::spawn(locker.lock(&lock).wait(PATIENCE).acquire());
    let queued = async || {
        locker
            .inspect(&lock)
            .await
            .unwrap()?
            .waiters
            .filter(|n| *n == 1)
    };
    until("the waiter queues", queued).await;
    foreigner.leaves().await;
    let guard = waiting.await.unwrap().unwrap();
    assert_eq!(
        within(PATIENCE, events.next()).await.unwrap(),
        LockEvent::Unlocked,
        "{shown}"
    );
    guard.release().await.unwrap();
}

#[tokio::test]
async fn every_value_holds_the_lock() {
    let panics = count_panics();
    let (store, endpoint) = store!();
    for value in values() {
        is_a_foreign_holder(&store, &endpoint, "1f", &value, true).await;
    }
    assert_eq!(panics.count(), 0);
}

#[tokio::test]
async fn every_key_below_the_name_holds_the_lock() {
    let panics = count_panics();
    let (store, endpoint) = store!();
    for key in KEYS {
        is_a_foreign_holder(&store, &endpoint, key, b"held", false).await;
    }
    assert_eq!(panics.count(), 0);
}

/// Put by hand, it has no end: it is taken away by hand as well.
#[tokio::test]
async fn every_foreign_holder_can_be_taken_away() {
    let (store, endpoint) = store!();
    for (key, value) in KEYS.iter().zip(values()) {
        let lock = name(unique("foreign"));
        let key = format!("lock/{lock}/{key}");
        let foreigner = Foreigner::holding(&endpoint, key, &value, false).await;
        assert!(store.force_release(&lock).await.unwrap());
        assert!(!store.force_release(&lock).await.unwrap());
        let asking = request(&lock);
        let answer = store.attempt(&asking).await.unwrap();
        assert!(matches!(answer, Attempt::Granted(_)), "{answer:?}");
        // What the foreigner deletes late is its own.
        foreigner.leaves().await;
        let release = Release::Attempt(asking.id, asking.trail.clone());
        assert!(store.release(&lock, &release).await.unwrap().removed);
    }
}

/// Several foreigners, one after the other: dlock waits for them all, in their order.
#[tokio::test]
async fn foreigners_in_a_row_are_waited_for() {
    let (store, endpoint) = store!();
    let lock = unique("foreign");
    let mut row = Vec::new();
    for key in ["third", "1", "2"] {
        let key = format!("lock/{lock}/{key}");
        row.push(Foreigner::holding(&endpoint, key, b"", true).await);
    }
    let locker = Locker::new(store);
    let waiting = tokio::spawn(locker.lock(&lock).wait(PATIENCE).acquire());
    let queued = async || {
        locker
            .inspect(&lock)
            .await
            .unwrap()?
            .waiters
            .filter(|n| *n == 3)
    };
    until("the waiter queues", queued).await;
    // The first leaves last.
    while let Some(foreigner) = row.pop() {
        assert!(!waiting.is_finished());
        foreigner.leaves().await;
    }
    waiting.await.unwrap().unwrap().release().await.unwrap();
}

/// It is believed what it says, and is still somebody else.
#[tokio::test]
async fn a_value_in_our_words_with_another_id_is_somebody_else() {
    let (store, endpoint) = store!();
    let lock = name(unique("imitation"));
    let asking = request(&lock);
    let imitation = format!("dlock1 holding {} imitation", attempt_id().expose());
    let key = format!("lock/{lock}/1f");
    let foreigner = Foreigner::holding(&endpoint, key.clone(), imitation.as_bytes(), false).await;
    let answer = store.attempt(&asking).await.unwrap();
    let Attempt::Busy {
        held_by,
        place: Some(mut place),
    } = answer
    else {
        panic!("{answer:?}");
    };
    assert_eq!(held_by.label.unwrap().as_str(), "imitation");
    let seen = store.inspect(&lock).await.unwrap().unwrap();
    let token = seen.token.unwrap();
    // Neither this attempt's id with that token, nor another id, is a grant.
    let other = attempt_id();
    for id in [asking.id, other] {
        let grant = Grant { id, token };
        let renewed = store.renew(&[Renewal::new(lock.clone(), grant, TTL)]).await;
        assert!(
            matches!(renewed[..], [Ok(Renewed::NotOwner)]),
            "{renewed:?}"
        );
    }
    let release = Release::Attempt(other, Default::default());
    assert!(!store.release(&lock, &release).await.unwrap().removed);
    foreigner.leaves().await;
    within(PATIENCE, place.wait()).await;
    let granted = until("the grant", async || {
        match store.attempt(&asking).await.unwrap() {
            Attempt::Granted(granted) => Some(granted.grant),
            Attempt::Busy { .. } => None,
            other => panic!("{other:?}"),
        }
    })
    .await;
    assert!(granted.token > token);
}

/// R11: like a dlock process that died in the queue.
#[tokio::test]
async fn a_value_that_says_that_it_waits_is_passed_over() {
    let (store, endpoint) = store!();
    let lock = unique("imitation");
    let waits = format!("dlock1 waiting {} imitation", attempt_id().expose());
    let key = format!("lock/{lock}/1f");
    let foreigner = Foreigner::holding(&endpoint, key, waits.as_bytes(), false).await;
    let locker = Locker::new(store);
    assert_eq!(locker.inspect(&lock).await.unwrap(), None);
    assert!(locker.lock(&lock).try_acquire().await.unwrap().is_none());
    let guard = locker.lock(&lock).wait(PATIENCE).acquire().await.unwrap();
    assert_eq!(entries(&foreigner.client, &lock).await.len(), 1);
    guard.release().await.unwrap();
}
