//! `cargo xtask servers`: real servers for manual work, which run until they are stopped.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::arguments::{ServersRequest, Wanted};
use crate::etcd_binaries::Etcd;
use crate::etcd_server;
use crate::install;
use crate::python;
use crate::redis_info;
use crate::redis_server;
use crate::server_process::Detached;
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
        ServersRequest::Up(wanted) => servers.up(&wanted)?,
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
    fn up(&self, wanted: &Wanted) -> Result<()> {
        self.ensure(&["redis"], |folders| {
            redis(&install::redis_server()?, folders)
        })?;
        if wanted.valkey {
            let valkey = || python::valkey_server(self.workspace);
            self.ensure(&["valkey"], |folders| redis(&valkey()?, folders))?;
        }
        if wanted.etcd {
            self.ensure(&["etcd"], etcd)?;
        }
        if wanted.etcd_cluster {
            self.ensure(&["etcd-1", "etcd-2", "etcd-3"], etcd)?;
        }
        println!("`cargo xtask servers down` stops them");
        Ok(())
    }

    /// Sees to it that servers run which belong together.
    fn ensure(
        &self,
        kinds: &[&str],
        start: impl FnOnce(&[&Path]) -> Result<Vec<Detached>>,
    ) -> Result<()> {
        let entries = state::load(&self.file)?;
        let belongs = |entry: &Entry| kinds.contains(&entry.kind.as_str());
        let (known, mut entries): (Vec<_>, Vec<_>) = entries.into_iter().partition(belongs);
        if self.any_runs(&known)? {
            return Ok(());
        }
        for gone in &known {
            self.remove_folder(&gone.folder);
        }
        let folders = kinds.iter().map(|kind| self.folder(kind));
        let folders = folders.collect::<Result<Vec<_>>>()?;
        let paths: Vec<&Path> = folders.iter().map(TempDir::path).collect();
        let started = start(&paths)?;
        for ((kind, folder), server) in kinds.iter().zip(folders).zip(started) {
            let entry = Entry {
                kind: (*kind).to_owned(),
                port: server.port,
                pid: server.pid,
                run_id: server.info.run_id,
                folder: folder.keep(),
            };
            print_running(&entry, &server.info.version);
            entries.push(entry);
        }
        state::save(&self.file, &entries)
    }

    /// Whether a server of these does; then what became of each is printed.
    fn any_runs(&self, known: &[Entry]) -> Result<bool> {
        let mut fates = Vec::new();
        for entry in known {
            match entry.fate() {
                Fate::Silent => bail!(self.silent(entry)),
                fate => fates.push(fate),
            }
        }
        let any = fates.iter().any(|fate| *fate != Fate::Gone);
        if any {
            let known = known.iter().zip(&fates);
            known.for_each(|(entry, fate)| self.print(entry, fate));
        }
        Ok(any)
    }

    fn folder(&self, kind: &str) -> Result<TempDir> {
        tempfile::Builder::new()
            .prefix(&format!("{kind}-"))
            .tempdir_in(self.workspace.servers())
            .context("making the server's folder")
    }

    fn status(&self) -> Result<()> {
        let entries = state::load(&self.file)?;
        if entries.is_empty() {
            println!("no servers: `cargo xtask servers up` starts them");
        }
        for entry in &entries {
            self.print(entry, &entry.fate());
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
            Fate::Running(_) if !entry.is_etcd() => redis_info::shut_down(entry.port)
                .with_context(|| format!("the server on port {} does not stop", entry.port))?,
            // etcd has no command for it, and nothing to save.
            Fate::Running(_) | Fate::Silent if entry.process_is_ours() => kill(entry.pid)?,
            // Only Linux tells whose a number is; elsewhere the name that answered must do.
            Fate::Running(_) if cfg!(not(target_os = "linux")) => kill(entry.pid)?,
            Fate::Running(_) => bail!(self.not_surely_ours(entry)),
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

    fn not_surely_ours(&self, entry: &Entry) -> String {
        format!(
            "etcd answers on port {}, but it is not certain that it is process {}: look with `ps -fp {}`, \
             stop it and delete {}",
            entry.port,
            entry.pid,
            entry.pid,
            self.file.display()
        )
    }

    fn print(&self, entry: &Entry, fate: &Fate) {
        match fate {
            Fate::Running(info) => print_running(entry, &info.version),
            Fate::Gone => println!("{:<7} has ended", entry.kind),
            Fate::Silent => println!("{:<7} {}", entry.kind, self.silent(entry)),
        }
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

fn redis(binary: &Path, folders: &[&Path]) -> Result<Vec<Detached>> {
    let start = |folder: &&Path| redis_server::start_detached(binary, folder);
    folders.iter().map(start).collect()
}

fn etcd(folders: &[&Path]) -> Result<Vec<Detached>> {
    etcd_server::start_detached(&Etcd::find()?.server, folders)
}

fn kill(pid: u32) -> Result<()> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = process.context("a process number of 0")?;
    kill_process(process, Signal::KILL).with_context(|| format!("killing {pid}"))
}

fn print_running(entry: &Entry, version: &str) {
    println!(
        "{:<7} {}  {version}, process {}",
        entry.kind,
        entry.url(),
        entry.pid
    );
}
