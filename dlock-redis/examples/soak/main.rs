//! A soak: processes with many tasks contend for a few locks on a real Redis, and are killed, frozen
//! and cancelled at random. `cargo xtask soak` runs it for five minutes.
//!
//! Each lock protects a counter behind a fence. Whoever holds the lock claims, reads, says which
//! value it is about to write, writes the next value, and says so. At the end every value from 1 to
//! the counter's must have been written exactly once: acknowledged, or by a process that was killed
//! or cut off between the two words. A lost update would show as a value that two have written.
//!
//! What the workers' lockers do with the first few locks is recorded as well, and put to the checker of `dlock-sim`.
#![allow(clippy::disallowed_methods)] // An application: it may use tokio directly.

mod ledger;
mod recording;
mod worker;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use dlock_redis::RedisStore;
use dlock_redis::dlock_core::runtime::{Runtime, TokioRuntime};
use dlock_redis::dlock_core::store::LockStore;
use ledger::Ledger;
use recording::Recording;
use rustix::process::{Pid, Signal, kill_process};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PROCESSES: u32 = 8;
const TASKS: u32 = 20;
const NAMES: u32 = 30;
/// Short, so that a freeze can outlast it.
const TTL: Duration = Duration::from_secs(2);
/// How long the workers may take to end when they are told to.
const END: Duration = Duration::from_secs(40);

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [worker::ARGUMENT, url, number, folder] => {
            worker::run(url, number.parse()?, Path::new(folder))?;
            Ok(ExitCode::SUCCESS)
        }
        [url, seconds, folder] => {
            let time = Duration::from_secs(seconds.parse()?);
            soak(url, time, Path::new(folder))
        }
        _ => Err("usage: soak URL SECONDS FOLDER (for the trace; it is emptied)".into()),
    }
}

fn soak(url: &str, time: Duration, folder: &Path) -> Result<ExitCode> {
    println!(
        "{PROCESSES} processes, {TASKS} tasks each, {NAMES} locks with a TTL of {TTL:?}, for {time:?}"
    );
    let mut ledger = Ledger::default();
    let recording = Recording::begin(folder)?;
    let (words, said) = mpsc::channel();
    let mut started = 0;
    let mut start = || {
        started += 1;
        Worker::start(url, started, folder, words.clone())
    };
    let mut workers = (0..PROCESSES)
        .map(|_| start())
        .collect::<Result<Vec<Worker>>>()?;
    let (mut kills, mut freezes) = (0_u32, 0_u32);
    let until = Instant::now() + time;
    let mut next_fault = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        if Instant::now() >= next_fault {
            let victim = random(PROCESSES) as usize;
            if workers[victim].frozen_until.is_none() {
                if random(3) == 0 {
                    kills += 1;
                    workers[victim].kill()?;
                    workers[victim] = start()?;
                } else {
                    freezes += 1;
                    let freeze = Duration::from_millis(u64::from(random(4000)));
                    workers[victim].freeze(freeze)?;
                }
            }
            next_fault = Instant::now() + Duration::from_millis(u64::from(random(1000)));
        }
        for worker in &mut workers {
            worker.thaw_if_due()?;
        }
        if let Ok(word) = said.recv_timeout(Duration::from_millis(20)) {
            ledger.note(&word);
            said.try_iter().for_each(|word| ledger.note(&word));
        }
    }
    for worker in &mut workers {
        worker.thaw_if_frozen()?;
    }
    recording.healed();
    // Closing their input tells them to end.
    let stuck = workers
        .into_iter()
        .map(Worker::end)
        .collect::<Result<Vec<bool>>>()?;
    drop(words);
    said.iter().for_each(|word| ledger.note(&word));
    let stuck = stuck.into_iter().filter(|stuck| *stuck).count();
    println!("{kills} processes killed, {freezes} frozen for up to 4 s (twice the TTL)");
    let runtime = tokio::runtime::Runtime::new()?;
    let wrong = runtime.block_on(ledger.compare(url))?;
    println!("processes that did not end within {END:?}: {stuck}");
    let store = runtime.block_on(RedisStore::connect(url))?;
    let valid = recording.end(&store.capabilities())?;
    let passed = wrong == 0 && stuck == 0 && valid;
    println!("{}", if passed { "PASSED" } else { "FAILED" });
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Below `limit`.
fn random(limit: u32) -> u32 {
    (TokioRuntime::new().random() % u64::from(limit)) as u32
}

/// A process that lives no longer than this value.
struct Worker {
    number: u32,
    folder: PathBuf,
    process: Child,
    frozen_until: Option<Instant>,
}

impl Worker {
    fn start(url: &str, number: u32, folder: &Path, words: Sender<String>) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([worker::ARGUMENT, url, &number.to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().ok_or("a worker without a pipe")?;
        std::thread::spawn(move || {
            for line in BufReader::new(stdout)
                .lines()
                .map_while(std::result::Result::ok)
            {
                if words.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            number,
            folder: folder.to_owned(),
            process,
            frozen_until: None,
        })
    }

    fn freeze(&mut self, time: Duration) -> Result<()> {
        self.frozen_until = Some(Instant::now() + time);
        self.record("paused")?;
        self.signal(Signal::STOP)
    }

    fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.process.wait()?;
        self.record("crashed")
    }

    fn thaw_if_due(&mut self) -> Result<()> {
        match self.frozen_until {
            Some(until) if Instant::now() >= until => self.thaw_if_frozen(),
            _ => Ok(()),
        }
    }

    fn thaw_if_frozen(&mut self) -> Result<()> {
        if self.frozen_until.take().is_some() {
            self.signal(Signal::CONT)?;
            self.record("resumed")?;
        }
        Ok(())
    }

    fn record(&self, state: &str) -> Result<()> {
        recording::process(&self.folder, self.number, state)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.process), signal)?)
    }

    /// Tells it to end; returns whether it did not.
    fn end(mut self) -> Result<bool> {
        drop(self.process.stdin.take());
        let until = Instant::now() + END;
        while Instant::now() < until {
            if let Some(status) = self.process.try_wait()? {
                return if status.success() {
                    Ok(false)
                } else {
                    Err(format!("a worker: {status}").into())
                };
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(true)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
