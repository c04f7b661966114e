//! Finds `redis-server` and other programs, and installs what is missing.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{self, Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::apt;

/// Names the binary to use instead of the one on PATH.
const OVERRIDE: &str = "DLOCK_TEST_REDIS_SERVER";

const BY_HAND: &str = "Install Redis 7.0 or newer, or Valkey, and run the command again:
  Debian, Ubuntu   sudo apt-get update && sudo apt-get install redis-server
  Fedora           sudo dnf install valkey-compat-redis
  Arch             sudo pacman -S valkey
  macOS            brew install redis
or name a binary: DLOCK_TEST_REDIS_SERVER=/path/to/redis-server";

pub(crate) fn redis_server() -> Result<PathBuf> {
    if let Some(named) = named_by(OVERRIDE)? {
        return Ok(named);
    }
    if let Some(found) = on_path("redis-server") {
        return Ok(found);
    }
    apt::install(&["redis-server"])
        .map_err(|error| anyhow!("no redis-server on PATH: {error:#}\n{BY_HAND}"))?;
    on_path("redis-server").context("apt-get installed redis-server, but it is not on PATH")
}

/// The program that an environment variable names, if it is set.
pub(crate) fn named_by(variable: &str) -> Result<Option<PathBuf>> {
    let Some(named) = env::var_os(variable).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    // Servers are started in folders of their own.
    let named = path::absolute(&named).with_context(|| format!("reading {variable}"))?;
    if !is_executable(&named) {
        bail!(
            "{variable} names {}, which is not an executable file",
            named.display()
        );
    }
    Ok(Some(named))
}

pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .filter_map(|folder| path::absolute(folder.join(program)).ok())
        .find(|file| is_executable(file))
}

pub(crate) fn is_executable(file: &Path) -> bool {
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
