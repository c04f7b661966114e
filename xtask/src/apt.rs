//! Installs packages of Debian and its relatives where that is possible and allowed, without
//! starting the services that come with them.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::child;
use crate::install::on_path;

/// Installs them, or says why it cannot.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" and ");
    if on_path("apt-get").is_none() {
        bail!("there is no apt-get to install {names} with");
    }
    let Some(root) = Root::available() else {
        bail!("there is no right to install {names} (root or passwordless sudo)");
    };
    println!("not on PATH, so installed with apt-get: {names} (no service is started)");
    if let Err(error) = child::quiet(root.command(&["apt-get", "-q", "update"])) {
        // The lists that are there may do.
        println!("{error:#}");
    }
    let _policy = NoServiceStart::set(root)?;
    let mut install = root.command(&[
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-q",
        "-y",
        "-o",
        "DPkg::Lock::Timeout=120",
        "--no-install-recommends",
        "install",
    ]);
    install.args(packages);
    child::quiet_uninterrupted(install)
}

/// How to become root: by being it, or by a sudo that asks for no password.
#[derive(Clone, Copy)]
enum Root {
    Already,
    BySudo,
}

impl Root {
    fn available() -> Option<Self> {
        if rustix::process::geteuid().is_root() {
            return Some(Self::Already);
        }
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "true"]);
        sudo.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let allowed = sudo.status().is_ok_and(|status| status.success());
        allowed.then_some(Self::BySudo)
    }

    fn command(self, words: &[&str]) -> Command {
        let mut command = match self {
            Self::Already => Command::new(words[0]),
            Self::BySudo => {
                let mut sudo = Command::new("sudo");
                sudo.args(["-n", words[0]]);
                sudo
            }
        };
        command.args(&words[1..]);
        command
    }
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Debian starts a service as it installs it, which would take a well-known port. A `policy-rc.d` that
/// exits with 101 forbids that; where the machine has one, it has decided already.
struct NoServiceStart(Option<Root>);

impl NoServiceStart {
    fn set(root: Root) -> Result<Self> {
        if fs::symlink_metadata(POLICY).is_ok() {
            return Ok(Self(None));
        }
        let policy = tempfile::NamedTempFile::new()?;
        fs::write(policy.path(), "#!/bin/sh\nexit 101\n")?;
        let source = policy.path().to_string_lossy();
        child::quiet_uninterrupted(root.command(&["install", "-m", "755", &source, POLICY]))
            .context("forbidding Debian to start the services that it installs")?;
        Ok(Self(Some(root)))
    }
}

impl Drop for NoServiceStart {
    fn drop(&mut self) {
        if let Some(root) = self.0
            && let Err(error) = child::quiet_uninterrupted(root.command(&["rm", POLICY]))
        {
            eprintln!("xtask: {POLICY} is left behind, please remove it: {error:#}");
        }
    }
}
