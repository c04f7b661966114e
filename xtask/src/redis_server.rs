//! A real server of our own: on a free port, with its own folder, and nothing on disk.

use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::info::Info;
use crate::redis_info;
use crate::server_process::{
    ATTEMPTS, Detached, Lifetime, ServerProcess, command, does_not_start, free_ports,
};

/// Stopped when dropped.
pub(crate) struct RedisServer {
    running: Running,
    _folder: TempDir,
}

impl RedisServer {
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        let folder = TempDir::with_prefix("dlock-redis-").context("making a temporary folder")?;
        Ok(Self {
            running: Running::start(binary, folder.path(), Lifetime::OfXtask)?,
            _folder: folder,
        })
    }

    pub(crate) fn url(&self) -> String {
        url(self.running.port)
    }

    pub(crate) fn version(&self) -> &str {
        &self.running.info.version
    }
}

/// Starts a server that outlives xtask, for manual work.
pub(crate) fn start_detached(binary: &Path, folder: &Path) -> Result<Detached> {
    let running = Running::start(binary, folder, Lifetime::OfItsOwn)?;
    Ok(Detached {
        port: running.port,
        pid: running.process.detach(),
        info: running.info,
    })
}

pub(crate) fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

struct Running {
    process: ServerProcess,
    port: u16,
    info: Info,
}

impl Running {
    fn start(binary: &Path, folder: &Path, lifetime: Lifetime) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            let port = free_ports(1)?[0];
            let mut command = command(binary, lifetime);
            command
                .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
                .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
                .arg("--dir")
                .arg(folder);
            let mut process = ServerProcess::spawn(command, folder)?;
            // Another server may have taken the port: only our own process counts.
            let ours = |pid| {
                redis_info::ask(port)
                    .ok()
                    .filter(|info| info.pid == Some(pid))
            };
            if let Some(info) = process.until_ready(ours)? {
                return Ok(Self {
                    process,
                    port,
                    info,
                });
            }
        }
        Err(does_not_start(binary, folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_that_ends_at_once_is_an_error_with_its_name() {
        let error = RedisServer::start(Path::new("/bin/true")).err().unwrap();
        assert!(error.to_string().contains("/bin/true does not start"));
    }
}
