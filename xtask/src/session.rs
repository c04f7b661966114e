//! What all lanes of one run share: the workspace, how cargo is called, and the servers' binaries.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::child;
use crate::etcd_binaries::Etcd;
use crate::install;
use crate::lanes::Verdict;
use crate::python;
use crate::test_servers::{Binaries, Server, TestServers};
use crate::workspace::Workspace;

pub(crate) struct Session {
    pub(crate) workspace: Workspace,
    /// Nothing that is tracked may change, and the flags of the caller's shell do not count.
    read_only: bool,
    nextest: bool,
    redis: OnceCell<PathBuf>,
    etcd: OnceCell<Etcd>,
    /// A Python with redis-py, or why there is none.
    redis_py: OnceCell<Result<PathBuf, String>>,
}

impl Session {
    pub(crate) fn new(workspace: Workspace, read_only: bool) -> Self {
        let mut probe = workspace.cargo();
        probe.args(["nextest", "--version"]).stdin(Stdio::null());
        probe.stdout(Stdio::null()).stderr(Stdio::null());
        Self {
            nextest: probe.status().is_ok_and(|status| status.success()),
            workspace,
            read_only,
            redis: OnceCell::new(),
            etcd: OnceCell::new(),
            redis_py: OnceCell::new(),
        }
    }

    /// `cargo` with a subcommand's words, read-only if the session is.
    pub(crate) fn cargo(&self, words: &[&str]) -> Command {
        let mut command = self.plain_cargo(words);
        if self.read_only {
            command.arg("--locked");
        }
        command
    }

    /// `cargo` for a subcommand that does not know `--locked`.
    pub(crate) fn plain_cargo(&self, words: &[&str]) -> Command {
        let mut command = self.workspace.cargo();
        if self.read_only {
            for flags in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTDOCFLAGS"] {
                command.env_remove(flags);
            }
        }
        command.args(words);
        command
    }

    /// Runs the tests of the chosen packages (or only their `--test`), but those in documentation.
    ///
    /// Examples are built as programs, as with a bare `cargo test`: tests may start them.
    pub(crate) fn tests(&self, packages: &[&str]) -> Vec<Command> {
        if self.nextest {
            let mut run = self.cargo(&["nextest", "run", "--no-fail-fast"]);
            run.args(packages);
            return vec![run];
        }
        let mut examples = self.cargo(&["build", "--examples"]);
        examples.args(packages);
        let mut run = self.cargo(&["test", "--no-fail-fast"]);
        run.args(packages);
        if !packages.contains(&"--test") {
            run.arg("--tests");
        }
        vec![examples, run]
    }

    /// Sees to it that there is such a server, and to redis-py where it can be had.
    pub(crate) fn set_up(&self, server: Server) -> Result<()> {
        match server {
            Server::Redis if self.redis.get().is_none() => {
                let _ = self.redis.set(install::redis_server()?);
                self.redis_py();
            }
            Server::Etcd if self.etcd.get().is_none() => {
                let _ = self.etcd.set(Etcd::find()?);
            }
            Server::Redis | Server::Etcd => {}
        }
        Ok(())
    }

    /// The programs of these servers, which were set up.
    pub(crate) fn binaries(&self, servers: &[Server]) -> Result<Binaries<'_>> {
        let mut binaries = Binaries::default();
        for server in servers {
            match server {
                Server::Redis => {
                    binaries.redis = Some(self.redis.get().context("Redis was not set up")?);
                }
                Server::Etcd => {
                    binaries.etcd = Some(self.etcd.get().context("etcd was not set up")?);
                }
            }
        }
        Ok(binaries)
    }

    /// Runs test commands on fresh servers.
    pub(crate) fn on(&self, binaries: Binaries<'_>, mut commands: Vec<Command>) -> Result<Verdict> {
        let servers = TestServers::start(binaries)?;
        let redis_py = binaries.redis.map(|_| self.redis_py());
        for command in &mut commands {
            servers.tell(command);
            match redis_py {
                Some(Ok(python)) => command.env("DLOCK_TEST_REDIS_PY", python),
                _ => command.env_remove("DLOCK_TEST_REDIS_PY"),
            };
        }
        let verdict = run_tests(commands)?;
        Ok(match redis_py {
            Some(Err(reason)) => verdict.with_note(format!("SKIP redis-py: {reason}")),
            _ => verdict,
        })
    }

    fn redis_py(&self) -> &Result<PathBuf, String> {
        self.redis_py.get_or_init(|| {
            let python = python::redis_py(&self.workspace).map_err(|error| format!("{error:#}"));
            if let Err(reason) = &python {
                println!("SKIP redis-py: {reason}");
            }
            python
        })
    }
}

/// Runs commands that test; a lane in which no test ran has failed.
pub(crate) fn run_tests(commands: Vec<Command>) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    for command in commands {
        let (status, tally) = child::counted(command)?;
        verdict.tally += tally;
        if !status.success() {
            return Ok(verdict.failed(format!("{status}")));
        }
    }
    if verdict.tally.ran() == 0 {
        return Ok(verdict.failed("it ran no test".to_owned()));
    }
    Ok(verdict)
}

/// Runs commands that check; each must succeed.
pub(crate) fn run_checks(commands: Vec<Command>) -> Result<Verdict> {
    for command in commands {
        let (status, _) = child::counted(command)?;
        if !status.success() {
            return Ok(Verdict::default().failed(format!("{status}")));
        }
    }
    Ok(Verdict::checked())
}
