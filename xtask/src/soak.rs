//! `cargo xtask soak`: dlock-redis's example `soak` on a server of its own.

use std::process::ExitCode;

use anyhow::Result;

use crate::child;
use crate::install;
use crate::redis_server::RedisServer;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, seconds: u32) -> Result<ExitCode> {
    // Stopped when this function returns.
    let server = RedisServer::start(&install::redis_server()?)?;
    println!("on {} at {}", server.version(), server.url());
    let mut command = workspace.cargo();
    command.args(["run", "--release", "--package", "dlock-redis"]);
    command.args([
        "--example",
        "soak",
        "--",
        &server.url(),
        &seconds.to_string(),
    ]);
    command.arg(workspace.target.join("soak"));
    Ok(child::exit_code(child::on_terminal(command)?))
}
