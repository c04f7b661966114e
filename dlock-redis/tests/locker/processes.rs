//! Real processes, killed and frozen with real signals. The test binary runs itself as the child:
//! [`child`] is the child's `main`, steered by its environment and its input.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};

use dlock_core::{Locker, RetryPolicy};
use dlock_redis::RedisStore;

use crate::support::{PATIENCE, redis, skip, unique, within};
use crate::{SECOND, locker};

/// `gc-pause`, with a real process: it learns of its loss at its first look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_frozen_past_its_ttl_knows_when_it_thaws() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let name = unique("frozen");
    let mut child = Child::start(&url, &name, "hold");
    let held: u64 = child.line().strip_prefix("held ").unwrap().parse().unwrap();
    child.signal("STOP");
    // Granted when the frozen holder's TTL of 2 s is over: an event, not a sleep.
    let other = locker(&url).await;
    let guard = within(PATIENCE, other.lock(&name).acquire()).await.unwrap();
    assert!(guard.token().value() > held);
    child.signal("CONT");
    child.say("check");
    let verdict = child.line();
    assert!(verdict.starts_with("lost "), "{verdict}");
    child.say("end");
    assert_eq!(child.line(), "ended");
    guard.check().unwrap();
    guard
        .release()
        .await
        .expect("the thawed process has not released what is ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_holds_its_lock_for_its_ttl_at_most() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let name = unique("killed");
    let mut child = Child::start(&url, &name, "hold");
    assert!(child.line().starts_with("held "));
    child.signal("KILL");
    let other = locker(&url).await;
    let seen = other
        .inspect(&name)
        .await
        .unwrap()
        .expect("nobody has released it");
    assert!(seen.time_left.unwrap() <= 2 * SECOND);
    let retry = RetryPolicy::every(SECOND / 20);
    within(PATIENCE, other.lock(&name).retry(retry).acquire())
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
}

/// R13: a guard dropped as the last statement of `main` is not released before its TTL ends; with
/// `close()` it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_at_the_end_of_main_releases_what_was_dropped() {
    let Some(url) = redis() else {
        return skip("there is no redis-server");
    };
    let observer = locker(&url).await;
    for (end, held_after) in [("drop", true), ("close", false)] {
        let name = unique(end);
        let mut child = Child::start(&url, &name, end);
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
    let (url, name) = (
        std::env::var("DLOCK_TEST_CHILD_URL").unwrap(),
        std::env::var("DLOCK_TEST_CHILD_LOCK").unwrap(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let locker = Locker::new(RedisStore::connect(url).await.unwrap());
        let guard = locker.lock(&name).ttl(2 * SECOND).acquire().await.unwrap();
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

pub(crate) struct Child {
    process: Process,
    input: ChildStdin,
    output: std::io::Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) fn start(url: &str, lock: &str, task: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::child", "--nocapture"])
            .envs([
                ("DLOCK_TEST_CHILD", task),
                ("DLOCK_TEST_CHILD_URL", url),
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

    pub(crate) fn line(&mut self) -> String {
        let mut lines = self.output.by_ref().map_while(Result::ok);
        lines
            .find_map(|line| line.strip_prefix('>').map(str::to_owned))
            .expect("the child says something")
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
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
