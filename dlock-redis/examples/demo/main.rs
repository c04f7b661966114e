//! Eight processes increment one counter in a file, 2,000 times, under one lock on a real Redis
//! server. One is killed while it holds the lock, one is frozen past its TTL and writes when it
//! wakes. No update may be lost.
//!
//! ```text
//! DLOCK_DEMO_REDIS=redis://127.0.0.1/ cargo run -p dlock-redis --example demo
//! ```
//!
//! `cargo xtask demo` starts a server for it. Unix only, as it freezes processes.
//!
//! - `worker`: what each process does; the place to see dlock in use.
//! - `counter`: the protected resource, a file behind a fence.
//! - `parent`: starts the workers, kills one and freezes one.
//! - `outcome`: what came out, and whether it is what dlock promises.

// The lints keep the library's own code on the injected runtime; an application is free of that.
#![allow(clippy::disallowed_methods)]

mod counter;
mod outcome;
mod parent;
mod progress;
mod protocol;
mod server;
mod worker;
mod workers;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const WORKERS: u32 = 8;
const TARGET: u64 = 2_000;
const LOCK: &str = "dlock-demo";
const TTL: Duration = Duration::from_secs(2);

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let url = std::env::var("DLOCK_DEMO_REDIS").unwrap_or_else(|_| "redis://127.0.0.1/".to_owned());
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (who, ended) = match arguments[..] {
        // The parent starts its workers like this.
        [_, worker::ARGUMENT, number, file] => {
            let ended = worker::run(&url, number, Path::new(file)).await;
            (
                format!("worker {number}"),
                ended.map(|()| ExitCode::SUCCESS),
            )
        }
        _ => ("demo".to_owned(), parent::run(&url).await),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("{who}: {error}");
        ExitCode::FAILURE
    })
}
