//! The commands by which dlock is tested, checked and shown: `cargo xtask --help`.
//!
//! `lanes.rs` runs named lanes and sums them up; `test_lanes.rs` and `ci_lanes.rs` say what the
//! lanes are. `install.rs` and `etcd_binaries.rs` find or install real servers, `browser_tools.rs` a
//! browser, `python.rs` fetches what comes from PyPI, `redis_server.rs` and `etcd_server.rs` start
//! servers and stop them. Every child process runs through `child.rs`, so that an interrupt (`interrupt.rs`) stops all of them.

mod apt;
mod arguments;
mod bench;
mod browser;
mod browser_tools;
mod child;
mod ci_lanes;
mod demo;
mod etcd_binaries;
mod etcd_info;
mod etcd_server;
mod info;
mod install;
mod interrupt;
mod lanes;
mod python;
mod real_demo;
mod redis_info;
mod redis_server;
mod server_process;
mod servers;
mod session;
mod soak;
mod state;
mod store;
mod store_server;
mod tally;
mod test_lanes;
mod test_servers;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::{HELP, Request};
use crate::session::Session;
use crate::workspace::Workspace;

fn main() -> ExitCode {
    let request = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("xtask: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let code = run(request).unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    });
    interrupt::exit_code().unwrap_or(code)
}

fn run(request: Request) -> Result<ExitCode> {
    interrupt::listen()?;
    match request {
        Request::Help => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Request::Test(selection) => {
            let session = Session::new(Workspace::load()?, false);
            lanes::run(test_lanes::all(), &session, &selection)
        }
        Request::Ci {
            selection,
            with_deny,
        } => {
            let session = Session::new(Workspace::load()?, true);
            let all = ci_lanes::all(&session.workspace, with_deny);
            lanes::run(all, &session, &selection)
        }
        Request::Servers(request) => servers::run(&Workspace::load()?, request),
        Request::Bench(options) => bench::run(&Workspace::load()?, &options),
        Request::Soak { seconds } => soak::run(&Workspace::load()?, seconds),
        Request::Demo(demo) => demo::run(&Workspace::load()?, demo),
    }
}
