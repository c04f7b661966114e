//! `cargo xtask servers`: real servers for manual work, which run until they are stopped.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::arguments::ServersRequest;
use crate::install;
use crate::python;
use crate::redis_info;
use crate::redis_server;
use crate::state::{self, Entry, Fate};
use crate::workspace::Workspace;

const STOPPED_WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn run(workspace: &Workspace, request: ServersRequest) -> Result<ExitCode> {
    fs::create_dir_all(workspace.servers()).context("making the servers' folder")?;
    let servers = Servers {
        workspace,
        file: workspace.servers().join("state.json"),
    };
    match request {
        ServersRequest::Up { valkey } => servers.up(valkey)?,
        ServersRequest::Status => servers.status()?,
        ServersRequest::Down => servers.down()?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Servers<'a> {
    workspace: &'a Workspace,
    file: PathBuf,
}

impl Servers<'_> {
    fn up(&self, valkey: bool) -> Result<()> {
        self.ensure("redis", install::redis_server)?;
        if valkey {
            self.ensure("valkey", || python::valkey_server(self.workspace))?;
        }
        println!("`cargo xtask servers down` stops them");
        Ok(())
    }

    fn ensure(&self, kind: &str, binary: impl FnOnce() -> Result<PathBuf>) -> Result<()> {
        let mut entries = state::load(&self.file)?;
        if let Some(known) = entries.iter().find(|entry| entry.kind == kind) {
            match known.fate() {
                Fate::Running(info) => {
                    print_running(known, &info.version);
                    return Ok(());
                }
                Fate::Gone => self.remove_folder(&known.folder),
                Fate::Silent => bail!(self.silent(known)),
            }
        }
        entries.retain(|entry| entry.kind != kind);
        let binary = binary()?;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{kind}-"))
            .tempdir_in(self.workspace.servers())
            .context("making the server's folder")?;
        let server = redis_server::start_detached(&binary, folder.path())?;
        let entry = Entry {
            kind: kind.to_owned(),
            port: server.port,
            pid: server.pid,
            run_id: server.info.run_id,
            folder: folder.keep(),
        };
        print_running(&entry, &server.info.version);
        entries.push(entry);
        state::save(&self.file, &entries)
    }

    fn status(&self) -> Result<()> {
        let entries = state::load(&self.file)?;
        if entries.is_empty() {
            println!("no servers: `cargo xtask servers up` starts them");
        }
        for entry in &entries {
            match entry.fate() {
                Fate::Running(info) => print_running(entry, &info.version),
                Fate::Gone => println!("{:<7} has ended", entry.kind),
                Fate::Silent => println!("{:<7} {}", entry.kind, self.silent(entry)),
            }
        }
        Ok(())
    }

    fn down(&self) -> Result<()> {
        let mut entries = state::load(&self.file)?;
        if entries.is_empty() {
            println!("no servers to stop");
        }
        while let Some(entry) = entries.last() {
            self.stop(entry)?;
            self.remove_folder(&entry.folder);
            entries.pop();
            state::save(&self.file, &entries)?;
        }
        Ok(())
    }

    /// Stops a server only when it is certain that it is the one which `up` started.
    fn stop(&self, entry: &Entry) -> Result<()> {
        match entry.fate() {
            Fate::Gone => {
                println!("{:<7} has ended already", entry.kind);
                return Ok(());
            }
            Fate::Running(_) => redis_info::shut_down(entry.port)
                .with_context(|| format!("the server on port {} does not stop", entry.port))?,
            Fate::Silent if entry.process_is_ours() => {
                let pid = i32::try_from(entry.pid).ok().and_then(Pid::from_raw);
                let pid = pid.context("a process number of 0")?;
                kill_process(pid, Signal::KILL)
                    .with_context(|| format!("killing {}", entry.pid))?;
            }
            Fate::Silent => bail!(self.silent(entry)),
        }
        let deadline = Instant::now() + STOPPED_WITHIN;
        while entry.fate() != Fate::Gone {
            if Instant::now() > deadline {
                bail!(
                    "process {} is still there after {STOPPED_WITHIN:?}",
                    entry.pid
                );
            }
            thread::sleep(Duration::from_millis(10));
        }
        println!("{:<7} stopped (process {})", entry.kind, entry.pid);
        Ok(())
    }

    fn silent(&self, entry: &Entry) -> String {
        format!(
            "process {} on port {} does not answer: is it frozen? `cargo xtask servers down` kills it \
             when it is sure that it is its own, otherwise look with `ps -fp {}`, stop it and delete {}",
            entry.pid,
            entry.port,
            entry.pid,
            self.file.display()
        )
    }

    fn remove_folder(&self, folder: &Path) {
        // The state file is only a file: nothing else is deleted on its word.
        if folder.parent() != Some(&self.workspace.servers()) {
            return;
        }
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                eprintln!("xtask: {} is left behind: {error}", folder.display());
            }
            _ => {}
        }
    }
}

fn print_running(entry: &Entry, version: &str) {
    let url = redis_server::url(entry.port);
    println!("{:<7} {url}  {version}, process {}", entry.kind, entry.pid);
}
