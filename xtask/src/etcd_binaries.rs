//! Finds `etcd` and the `etcdctl` that goes with it, or installs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::apt;
use crate::child;
use crate::etcd_server::unsupported_architecture;
use crate::install::{is_executable, named_by, on_path};

/// The oldest that is tested: 3.3 lacks what the tests read from it.
const OLDEST: (u32, u32) = (3, 4);

const BY_HAND: &str = "Install etcd 3.4 or newer, with its etcdctl, and run the command again:
  Debian 12+, Ubuntu 24.04+ sudo apt-get update && sudo apt-get install etcd-server etcd-client
  Fedora                    sudo dnf install etcd
  macOS                     brew install etcd
  all                       https://github.com/etcd-io/etcd/releases
or name a binary: DLOCK_TEST_ETCD_SERVER=/path/to/etcd (and DLOCK_TEST_ETCDCTL, if it is not beside it)";

pub(crate) struct Etcd {
    pub(crate) server: PathBuf,
    pub(crate) ctl: PathBuf,
}

impl Etcd {
    pub(crate) fn find() -> Result<Self> {
        Self::find_or_install().map_err(|error| anyhow!("{error:#}\n{BY_HAND}"))
    }

    fn find_or_install() -> Result<Self> {
        let found = Found::look()?;
        let missing = found.missing_packages();
        let found = if missing.is_empty() {
            found
        } else {
            apt::install(&missing).context("no etcd or no etcdctl on PATH")?;
            Found::look()?
        };
        let (Some(server), Some(ctl)) = (found.server, found.ctl) else {
            bail!("apt-get installed etcd, but it is not on PATH");
        };
        check_version(&server)?;
        Ok(Self { server, ctl })
    }
}

struct Found {
    server: Option<PathBuf>,
    ctl: Option<PathBuf>,
}

impl Found {
    fn look() -> Result<Self> {
        let server = named_by("DLOCK_TEST_ETCD_SERVER")?.or_else(|| on_path("etcd"));
        let ctl = named_by("DLOCK_TEST_ETCDCTL")?
            .or_else(|| beside(server.as_deref()?))
            .or_else(|| on_path("etcdctl"));
        Ok(Self { server, ctl })
    }

    fn missing_packages(&self) -> Vec<&'static str> {
        let server = self.server.is_none().then_some("etcd-server");
        let client = self.ctl.is_none().then_some("etcd-client");
        server.into_iter().chain(client).collect()
    }
}

/// The one beside the server is of the same version.
fn beside(server: &Path) -> Option<PathBuf> {
    let ctl = server.with_file_name("etcdctl");
    is_executable(&ctl).then_some(ctl)
}

fn check_version(server: &Path) -> Result<()> {
    let mut ask = Command::new(server);
    ask.arg("--version").envs(unsupported_architecture());
    let said = child::read(ask)?;
    let found = version(&said).with_context(|| format!("{} has no version", server.display()))?;
    if found < OLDEST {
        let ((major, minor), (oldest_major, oldest_minor)) = (found, OLDEST);
        bail!(
            "{} is etcd {major}.{minor}, and {oldest_major}.{oldest_minor} is needed",
            server.display()
        );
    }
    Ok(())
}

/// The first two numbers of `etcd Version: 3.4.23`.
fn version(said: &str) -> Option<(u32, u32)> {
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("etcd Version: "))?;
    let mut numbers = line.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn etcds_version_is_read() {
        let said = "warning\netcd Version: 3.4.23\nGit SHA: none\n";
        assert_eq!(version(said), Some((3, 4)));
        assert_eq!(version("etcdctl version: 3.4.23\n"), None);
        assert!((3, 3) < OLDEST && (3, 10) > OLDEST);
    }

    #[test]
    fn only_what_is_missing_is_installed() {
        let ctl = Some(PathBuf::from("/bin/etcdctl"));
        let found = Found { server: None, ctl };
        assert_eq!(found.missing_packages(), ["etcd-server"]);
        let found = Found {
            server: None,
            ctl: None,
        };
        assert_eq!(found.missing_packages(), ["etcd-server", "etcd-client"]);
    }

    #[test]
    fn the_etcdctl_beside_the_server_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (server, ctl) = (folder.path().join("etcd"), folder.path().join("etcdctl"));
        assert_eq!(beside(&server), None);
        symlink("/bin/sh", &ctl).unwrap();
        assert_eq!(beside(&server), Some(ctl));
    }
}
