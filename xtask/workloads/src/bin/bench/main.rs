//! The bench's subjects: dlock as a user would write it, and the floors beside it.
//!
//! ```text
//! bench CASE --subject SUBJECT --url URL --seconds N [--hold-ms N] [--think-ms N]
//! ```
//!
//! `cargo xtask bench` starts the servers and runs the subjects of a case in turns. A line of output
//! that begins with `FIGURE` is a result.
#![allow(clippy::disallowed_methods)] // An application: it may use tokio directly.

mod arguments;
mod cases;
mod figures;
mod floors;
mod subject;
mod turns;
mod usage;
mod workers;

use arguments::Arguments;
use dlock_workloads::Result;

#[tokio::main]
async fn main() -> Result<()> {
    cases::run(&Arguments::parse()?).await
}

/// Nanoseconds on a clock that all processes of this machine share.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A lock that nobody else uses.
fn name(case: &str) -> String {
    format!("bench-{case}-{}", now())
}
