//! The process of a server of our own, and how it is started so that it ends with us.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::child::last_lines;
use crate::info::Info;
use crate::interrupt;

/// How often a server is started: somebody may take its port between our look and its bind.
pub(crate) const ATTEMPTS: u32 = 3;

const READY_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

#[derive(Clone, Copy)]
pub(crate) enum Lifetime {
    OfXtask,
    /// For manual work.
    OfItsOwn,
}

/// Killed when dropped: there is nothing to save.
pub(crate) struct ServerProcess {
    child: Child,
    log: PathBuf,
    detached: bool,
}

/// A server that goes on without us.
pub(crate) struct Detached {
    pub(crate) port: u16,
    pub(crate) pid: u32,
    pub(crate) info: Info,
}

impl ServerProcess {
    /// Starts a command made by [`command`], in its folder, where its log will be.
    pub(crate) fn spawn(mut command: Command, folder: &Path) -> Result<Self> {
        let log = log_in(folder);
        let file = File::create(&log).context("writing the server's log")?;
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Self {
            child,
            log,
            detached: false,
        })
    }

    /// Asks until there is an answer; `None` if the process ended instead.
    pub(crate) fn until_ready(
        &mut self,
        ask: impl Fn(u32) -> Option<Info>,
    ) -> Result<Option<Info>> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            interrupt::check()?;
            if self.child.try_wait()?.is_some() {
                return Ok(None);
            }
            if let Some(info) = ask(self.child.id()) {
                return Ok(Some(info));
            }
            if Instant::now() > deadline {
                bail!(
                    "a server is not ready after {READY_WITHIN:?}; its log ends with:\n{}",
                    end_of(&self.log)
                );
            }
            thread::sleep(POLL);
        }
    }

    /// Lets it run for ever, and says its number.
    pub(crate) fn detach(mut self) -> u32 {
        self.detached = true;
        self.child.id()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if !self.detached {
            // Both fail only when it has ended already.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

pub(crate) fn command(binary: &Path, lifetime: Lifetime) -> Command {
    match lifetime {
        Lifetime::OfXtask => tied_to_xtask(binary),
        Lifetime::OfItsOwn => Command::new(binary),
    }
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

/// The error of a server that ended in every attempt.
pub(crate) fn does_not_start(binary: &Path, folder: &Path) -> anyhow::Error {
    anyhow!(
        "{} does not start ({ATTEMPTS} attempts); its log ends with:\n{}",
        binary.display(),
        end_of(&log_in(folder))
    )
}

/// So many ports, all of them different.
pub(crate) fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listen = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners: Vec<TcpListener> = (0..count)
        .map(listen)
        .collect::<Result<_, _>>()
        .context("looking for a free port")?;
    let port = |listener: &TcpListener| Ok(listener.local_addr()?.port());
    listeners.iter().map(port).collect()
}

fn log_in(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

fn end_of(log: &Path) -> String {
    last_lines(&fs::read_to_string(log).unwrap_or_default(), 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_free_and_different() {
        let ports = free_ports(6).unwrap();
        let listeners: Vec<_> = ports
            .iter()
            .map(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap())
            .collect();
        assert_eq!(listeners.len(), 6);
    }

    #[test]
    fn a_dropped_process_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut sleep = command(Path::new("/bin/sleep"), Lifetime::OfXtask);
        sleep.arg("600");
        let process = ServerProcess::spawn(sleep, folder.path()).unwrap();
        let pid = process.child.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}
