//! Beside `etcdctl lock`, and Go's `concurrency.Mutex`, which it uses.

use std::time::Duration;

use dlock_core::Locker;
use dlock_core::OwnerLabel;
use dlock_etcd::EtcdStore;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout};

use crate::support::{self, PATIENCE, entries, etcdctl, raw, run_etcdctl, unique, until, within};

/// `etcdctl lock NAME`, which prints the key once it holds the lock, and holds it until it is told to end.
struct Etcdctl {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Etcdctl {
    fn lock(endpoint: &str, name: &str) -> Option<Self> {
        let mut child = etcdctl(endpoint, &["lock", &format!("lock/{name}")])?
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Some(Self { child, output })
    }

    async fn has_it(&mut self) {
        let mut line = String::new();
        within(PATIENCE, self.output.read_line(&mut line))
            .await
            .unwrap();
        assert!(line.starts_with("lock/"), "{line:?}");
    }

    /// SIGINT: it deletes its key.
    async fn end(mut self) {
        let pid = self.child.id().unwrap().to_string();
        let kill = tokio::process::Command::new("sh")
            .args(["-c", &format!("kill -INT {pid}")])
            .status();
        kill.await.unwrap();
        within(PATIENCE, self.child.wait()).await.unwrap();
    }
}

#[tokio::test]
async fn etcdctl_waits_for_dlock() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let name = unique("interop");
    let locker = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let guard = locker.lock(&name).acquire().await.unwrap();
    let Some(mut other) = Etcdctl::lock(&endpoint, &name) else {
        return;
    };
    let client = raw(&endpoint).await;
    until("etcdctl queues", || async {
        (entries(&client, &name).await.len() == 2).then_some(())
    })
    .await;
    // It is in our queue, and does not have the lock.
    let seen = locker.inspect(&name).await.unwrap().unwrap();
    assert_eq!((seen.token, seen.waiters), (Some(guard.token()), Some(1)));
    guard.release().await.unwrap();
    other.has_it().await;
    other.end().await;
    locker.close().await;
}

#[tokio::test]
async fn dlock_waits_for_etcdctl() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let name = unique("interop");
    let Some(mut other) = Etcdctl::lock(&endpoint, &name) else {
        return;
    };
    other.has_it().await;
    let locker = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    assert!(locker.lock(&name).try_acquire().await.unwrap().is_none());
    let seen = locker.inspect(&name).await.unwrap().unwrap();
    assert_eq!(seen.label, None, "a foreign holder has no label of ours");
    let waiting = tokio::spawn({
        let lock = locker.lock(&name);
        async move { lock.acquire().await }
    });
    let client = raw(&endpoint).await;
    until("dlock queues", || async {
        (entries(&client, &name).await.len() == 2).then_some(())
    })
    .await;
    other.end().await;
    let guard = within(PATIENCE, waiting).await.unwrap().unwrap();
    guard.release().await.unwrap();
    locker.close().await;
}

/// dlock, etcdctl, dlock, etcdctl: in the order in which they came.
#[tokio::test]
async fn both_stand_in_one_queue() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let name = unique("one-queue");
    let locker = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let client = raw(&endpoint).await;
    let length = async |expected: usize| {
        until("the queue grows", || async {
            (entries(&client, &name).await.len() == expected).then_some(())
        })
        .await;
    };
    let first = locker.lock(&name).acquire().await.unwrap();
    let Some(mut second) = Etcdctl::lock(&endpoint, &name) else {
        return;
    };
    length(2).await;
    let acquire = || {
        let lock = locker.lock(&name);
        tokio::spawn(async move { lock.acquire().await })
    };
    let third = acquire();
    length(3).await;
    let mut fourth = Etcdctl::lock(&endpoint, &name).unwrap();
    length(4).await;

    first.release().await.unwrap();
    second.has_it().await;
    assert!(!third.is_finished());
    second.end().await;
    let third = within(PATIENCE, third).await.unwrap().unwrap();
    assert_eq!(entries(&client, &name).await.len(), 2, "the fourth waits");
    third.release().await.unwrap();
    fourth.has_it().await;
    fourth.end().await;
    locker.close().await;
}

#[tokio::test]
async fn the_holder_shows_in_etcdctl_with_its_label() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let name = unique("label");
    let locker = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let label = OwnerLabel::new("billing on host-7");
    let guard = locker.lock(&name).label(label).acquire().await.unwrap();
    let prefix = format!("lock/{name}/");
    let Some(seen) = run_etcdctl(&endpoint, &["get", "--prefix", &prefix]).await else {
        return;
    };
    assert!(
        seen.starts_with(&prefix) && seen.contains("billing on host-7"),
        "{seen}"
    );
    guard.release().await.unwrap();
    let seen = run_etcdctl(&endpoint, &["get", "--prefix", &prefix])
        .await
        .unwrap();
    assert_eq!(seen, "");
    locker.close().await;
}

/// Unescaped, the holder of `a/b` would stand in the queue of `a`.
#[tokio::test]
async fn a_name_and_one_below_it_do_not_meet() {
    let Some(endpoint) = support::etcd() else {
        return;
    };
    let name = unique("a");
    let locker = Locker::new(EtcdStore::connect([&endpoint]).await.unwrap());
    let below = locker.lock(format!("{name}/b")).acquire().await.unwrap();
    let above = locker
        .lock(&name)
        .wait(Duration::from_secs(5))
        .acquire()
        .await
        .unwrap();
    above.release().await.unwrap();
    below.release().await.unwrap();
    locker.close().await;
}
