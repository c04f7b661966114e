//! A real server of our own: on a free port, with its own folder, and nothing on disk.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::child::last_lines;
use crate::info::Info;
use crate::interrupt;

const READY_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
const ATTEMPTS: u32 = 3;

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
pub(crate) fn start_detached(binary: &Path, folder: &Path) -> Result<(u16, Info)> {
    let mut running = Running::start(binary, folder, Lifetime::OfItsOwn)?;
    running.child = None;
    let port = running.port;
    let unknown = || format!("the server on port {port} stopped answering");
    Ok((port, Info::ask(port).with_context(unknown)?))
}

pub(crate) fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

enum Lifetime {
    OfXtask,
    OfItsOwn,
}

struct Running {
    child: Option<Child>,
    port: u16,
    info: Info,
}

impl Running {
    fn start(binary: &Path, folder: &Path, lifetime: Lifetime) -> Result<Self> {
        let log = folder.join("server.log");
        for _ in 0..ATTEMPTS {
            let port = free_port()?;
            let mut command = match lifetime {
                Lifetime::OfXtask => tied_to_xtask(binary),
                Lifetime::OfItsOwn => Command::new(binary),
            };
            command
                .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
                .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
                .arg("--dir")
                .arg(folder)
                .stdin(Stdio::null())
                .stdout(File::create(&log).context("writing the server's log")?)
                .stderr(Stdio::null())
                .process_group(0);
            let child = command
                .spawn()
                .with_context(|| format!("starting {}", binary.display()))?;
            let mut starting = Starting(Some(child));
            if let Some(info) = starting.until_ready(port)? {
                let child = starting.0.take();
                return Ok(Self { child, port, info });
            }
            // It ended at once. Perhaps somebody took the port between our look and its bind.
        }
        let log = fs::read_to_string(&log).unwrap_or_default();
        bail!(
            "{} does not start ({ATTEMPTS} attempts); its log ends with:\n{}",
            binary.display(),
            last_lines(&log, 10)
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(Starting(self.child.take()));
    }
}

/// Kills the process unless it is taken out.
struct Starting(Option<Child>);

impl Starting {
    /// `None` if it ended instead.
    fn until_ready(&mut self, port: u16) -> Result<Option<Info>> {
        let deadline = Instant::now() + READY_WITHIN;
        let Some(child) = &mut self.0 else {
            return Ok(None);
        };
        loop {
            interrupt::check()?;
            if child.try_wait()?.is_some() {
                return Ok(None);
            }
            match Info::ask(port) {
                // Another server may have taken the port: only our own process counts.
                Ok(info) if info.pid == child.id() => return Ok(Some(info)),
                _ if Instant::now() > deadline => {
                    bail!("the server on port {port} is not ready after {READY_WITHIN:?}")
                }
                _ => thread::sleep(POLL),
            }
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // There is nothing to save. Both fail only when it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

/// `setpriv --pdeathsig` (util-linux) has the kernel end the server even when xtask is killed with
/// SIGKILL. Without it the server is stopped at every other end of xtask.
fn tied_to_xtask(binary: &Path) -> Command {
    let mut probe = Command::new("setpriv");
    probe.args(["--pdeathsig", "KILL", "true"]);
    probe.stdout(Stdio::null()).stderr(Stdio::null());
    if probe.status().is_ok_and(|status| status.success()) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(binary);
        command
    } else {
        Command::new(binary)
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

    #[test]
    fn free_ports_are_free() {
        let port = free_port().unwrap();
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}
