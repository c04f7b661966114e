//! Eight processes increment one counter, 2,000 times, under one lock on a real server. One is killed
//! while it holds the lock, one is frozen past its TTL and writes when it wakes. No update may be lost.
//!
//! ```text
//! demo redis redis://127.0.0.1/
//! demo etcd http://127.0.0.1:2379
//! ```
//!
//! `cargo xtask demo --real` starts a server for it. Unix only, as it freezes processes.
//!
//! - `worker`: what each process does; the place to see dlock in use.
//! - `counter`: the protected resource, in the lock's own store, fenced.
//! - `parent`: starts the workers, kills one and freezes one.
//! - `outcome`: what came out, and whether it is what dlock promises.

// The lints keep the library's own code on the injected runtime; an application is free of that.
#![allow(clippy::disallowed_methods)]

mod counter;
mod outcome;
mod parent;
mod place;
mod progress;
mod protocol;
mod worker;
mod workers;

use std::process::ExitCode;
use std::time::Duration;

use dlock_workloads::Result;
use place::Place;

const WORKERS: u32 = 8;
const TARGET: u64 = 2_000;
const LOCK: &str = "dlock-demo";
/// The shortest that etcd knows.
const TTL: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&arguments).await.unwrap_or_else(|error| {
        eprintln!("demo: {error}");
        ExitCode::FAILURE
    })
}

async fn run(arguments: &[&str]) -> Result<ExitCode> {
    match *arguments {
        [store, url] => parent::run(&Place::new(store.parse()?, url)).await,
        // The parent starts its workers like this.
        [store, url, worker::ARGUMENT, number, counter] => {
            let place = Place::with_counter(store.parse()?, url, counter);
            let ended = worker::run(&place).await;
            ended.map_err(|error| format!("worker {number}: {error}"))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err("usage: demo STORE URL".into()),
    }
}
