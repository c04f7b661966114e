//! Finds `redis-server`, or installs it with apt where that is possible and allowed.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use crate::child;

/// Names the binary to use instead of the one on PATH.
pub(crate) const OVERRIDE: &str = "DLOCK_TEST_REDIS_SERVER";

const BY_HAND: &str = "Install Redis 7.0 or newer, or Valkey, and run the command again:
  Debian, Ubuntu   sudo apt-get update && sudo apt-get install redis-server
  Fedora           sudo dnf install valkey-compat-redis
  Arch             sudo pacman -S valkey
  macOS            brew install redis
or name a binary: DLOCK_TEST_REDIS_SERVER=/path/to/redis-server";

pub(crate) fn redis_server() -> Result<PathBuf> {
    if let Some(named) = env::var_os(OVERRIDE).filter(|path| !path.is_empty()) {
        let named = PathBuf::from(named);
        if !is_executable(&named) {
            bail!(
                "{OVERRIDE} names {}, which is not an executable file",
                named.display()
            );
        }
        return Ok(named);
    }
    if let Some(found) = on_path("redis-server") {
        return Ok(found);
    }
    install_with_apt().map_err(|error| anyhow!("{error:#}\n{BY_HAND}"))?;
    on_path("redis-server").context("apt-get installed redis-server, but it is not on PATH")
}

fn install_with_apt() -> Result<()> {
    if on_path("apt-get").is_none() {
        bail!("there is no redis-server on PATH, and no apt-get to install it with");
    }
    let Some(root) = Root::available() else {
        bail!(
            "there is no redis-server on PATH, and no right to install it (root or passwordless sudo)"
        );
    };
    println!(
        "no redis-server on PATH: installing Debian's with apt-get (its service is not started)"
    );
    if let Err(error) = child::quiet(root.command(&["apt-get", "-q", "update"])) {
        // The lists that are there may do.
        println!("{error:#}");
    }
    let _policy = NoServiceStart::set(root)?;
    let install = [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-q",
        "-y",
        "-o",
        "DPkg::Lock::Timeout=120",
        "--no-install-recommends",
        "install",
        "redis-server",
    ];
    child::quiet_uninterrupted(root.command(&install))
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

/// Debian starts a service as it installs it, which here would take port 6379. A `policy-rc.d` that
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
            .context("forbidding Debian to start the service that comes with redis-server")?;
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

pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_executable_file_is_a_program() {
        assert!(is_executable(Path::new("/bin/sh")));
        assert!(!is_executable(Path::new("/bin")));
        assert!(!is_executable(Path::new("/etc/passwd")));
        assert!(on_path("sh").is_some());
        assert!(on_path("dlock-no-such-program").is_none());
    }
}
