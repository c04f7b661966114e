//! Real processes, killed and frozen with real signals. The test binary runs itself as the child:
//! [`child`] is the child's `main`, steered by its environment and its input.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};

use dlock_core::Locker;
use dlock_etcd::EtcdStore;

use crate::support::{PATIENCE, etcd, skip, unique, within};
use crate::{SECOND, locker};

/// `gc-pause`, with a real process: it learns of its loss at its first look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_frozen_past_its_ttl_knows_when_it_thaws() {
    let Some(endpoint) = etcd() else {
        return skip("there is no etcd");
    };
    let name = unique("frozen");
    let mut child = Child::start(&endpoint, &name, "hold");
    let held: u64 = child.line().strip_prefix("held ").unwrap().parse().unwrap();
    child.signal("STOP");
    // Granted when the frozen holder's TTL of 2 s is over: an event, not a sleep.
    let other = locker(&endpoint).await;
    let guard = within(PATIENCE, other.lock(&name).acquire()).await.unwrap();
    assert!(guard.token().value() > held);
    child.signal("CONT");
    child.say("check");
    let verdict = child.line();
    assert!(verdict.starts_with("lost "), "{verdict}");
    child.say("end");
    assert_eq!(child.line(), "ended");
    guard.check().unwrap();
    // The thawed process has not released what is ours.
    guard.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_holds_its_lock_for_its_ttl_at_most() {
    let Some(endpoint) = etcd() else {
        return skip("there is no etcd");
    };
    let name = unique("killed");
    let mut child = Child::start(&endpoint, &name, "hold");
    assert!(child.line().starts_with("held "));
    child.signal("KILL");
    let other = locker(&endpoint).await;
    let seen = other.inspect(&name).await.unwrap();
    let seen = seen.expect("nobody has released it");
    assert!(seen.time_left.unwrap() <= 2 * SECOND);
    let guard = within(PATIENCE, other.lock(&name).acquire()).await.unwrap();
    guard.release().await.unwrap();
}

/// R11: those who died in the queue are passed over, each after its grace; nobody waits for their TTL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_waiters_keep_nobody_waiting() {
    let Some(endpoint) = etcd() else {
        return skip("there is no etcd");
    };
    let name = unique("killed");
    let (first, last) = (locker(&endpoint).await, locker(&endpoint).await);
    let guard = first.lock(&name).acquire().await.unwrap();
    let mut dead = Vec::new();
    for place in 1..=3 {
        let child = Child::start(&endpoint, &name, "wait");
        queued(&first, &name, place).await;
        dead.push(child);
    }
    let waiting = tokio::spawn(last.lock(&name).wait(PATIENCE).acquire());
    queued(&first, &name, 4).await;
    dead.iter().for_each(|child| child.signal("KILL"));
    // Their leases last for an hour.
    guard.release().await.unwrap();
    let guard = within(PATIENCE, waiting).await.unwrap().unwrap();
    guard.release().await.unwrap();
}

async fn queued(locker: &Locker, name: &str, waiters: u64) {
    let look = async || {
        let seen = locker.inspect(name).await.unwrap()?.waiters;
        (seen == Some(waiters)).then_some(())
    };
    crate::support::until("it queues", look).await;
}

/// R13: a guard dropped as the last statement of `main` is not released before its TTL ends; with
/// `close()` it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_at_the_end_of_main_releases_what_was_dropped() {
    let Some(endpoint) = etcd() else {
        return skip("there is no etcd");
    };
    let observer = locker(&endpoint).await;
    for (end, held_after) in [("drop", true), ("close", false)] {
        let name = unique(end);
        let mut child = Child::start(&endpoint, &name, end);
        assert!(child.line().starts_with("held "));
        child.wait();
        let held = observer.inspect(&name).await.unwrap().is_some();
        assert_eq!(held, held_after, "main ended with {end}");
    }
}

/// Not a test of its own: what a child process does.
#[test]
fn child() {
    let Ok(task) = std::env::var("DLOCK_TEST_CHILD") else {
        return;
    };
    let (endpoint, name) = (
        std::env::var("DLOCK_TEST_CHILD_ENDPOINT").unwrap(),
        std::env::var("DLOCK_TEST_CHILD_LOCK").unwrap(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let locker = Locker::new(EtcdStore::connect([endpoint]).await.unwrap());
        if task == "wait" {
            let _ = locker.lock(&name).ttl(3600 * SECOND).acquire().await;
            return;
        }
        let ttl = if task == "hold" { 2 } else { 30 } * SECOND;
        let guard = locker.lock(&name).ttl(ttl).acquire().await.unwrap();
        say(&format!("held {}", guard.token()));
        match &task[..] {
            "drop" => drop(guard),
            "close" => {
                drop(guard);
                locker.close().await;
            }
            _ => {
                let lease = guard.lease();
                let commands = tokio::task::spawn_blocking(move || {
                    for line in std::io::stdin().lines().map_while(Result::ok) {
                        match &line[..] {
                            "check" => match lease.check() {
                                Ok(()) => say("ours"),
                                Err(error) => say(&format!("lost {error}")),
                            },
                            _ => break,
                        }
                    }
                });
                commands.await.unwrap();
                drop(guard);
                locker.close().await;
                say("ended");
            }
        }
    });
}

/// On a line of its own, behind a mark: the test harness prints, too.
fn say(text: &str) {
    println!("\n>{text}");
}

struct Child {
    process: Process,
    input: ChildStdin,
    output: std::io::Lines<BufReader<ChildStdout>>,
}

impl Child {
    fn start(endpoint: &str, lock: &str, task: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::child", "--nocapture"])
            .envs([
                ("DLOCK_TEST_CHILD", task),
                ("DLOCK_TEST_CHILD_ENDPOINT", endpoint),
                ("DLOCK_TEST_CHILD_LOCK", lock),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            process,
            input,
            output,
        }
    }

    /// What it says next.
    fn line(&mut self) -> String {
        let mut lines = self.output.by_ref().map_while(Result::ok);
        let line = lines.find_map(|line| line.strip_prefix('>').map(str::to_owned));
        line.unwrap()
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn signal(&self, name: &str) {
        let killed = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.process.id())])
            .status();
        assert!(killed.unwrap().success());
    }

    fn wait(&mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
