//! What the tests of the pages need: a Chromium, and Node with npm. Found, or installed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::apt;
use crate::child;
use crate::install;

const OVERRIDE: &str = "DLOCK_TEST_CHROMIUM";

const CHROMIUM: &[&str] = &[
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// The first whose test runner knows what it is told.
const NODE: (u32, u32) = (18, 19);

const BY_HAND: &str = "Install Chromium (or Chrome), Node 18.19 or newer and npm:
  Debian           sudo apt-get update && sudo apt-get install chromium nodejs npm
or name a browser: DLOCK_TEST_CHROMIUM=/path/to/chromium";

pub(crate) struct BrowserTools {
    pub(crate) chromium: PathBuf,
    pub(crate) node: PathBuf,
    pub(crate) npm: PathBuf,
}

/// The browser to use instead of the one on PATH.
pub(crate) fn named_browser() -> Result<Option<PathBuf>> {
    install::named_by(OVERRIDE)
}

impl BrowserTools {
    pub(crate) fn find(named: Option<PathBuf>) -> Result<Self> {
        let chromium = || named.clone().or_else(chromium);
        let missing: Vec<&str> = [
            ("chromium", chromium().is_none()),
            ("nodejs", install::on_path("node").is_none()),
            ("npm", install::on_path("npm").is_none()),
        ]
        .into_iter()
        .filter_map(|(package, is_missing)| is_missing.then_some(package))
        .collect();
        if !missing.is_empty() {
            apt::install(&missing).map_err(|error| anyhow!("{error:#}\n{BY_HAND}"))?;
        }
        let installed = "apt-get installed it, but it is not on PATH";
        let tools = Self {
            chromium: chromium().with_context(|| format!("chromium: {installed}"))?,
            node: install::on_path("node").with_context(|| format!("node: {installed}"))?,
            npm: install::on_path("npm").with_context(|| format!("npm: {installed}"))?,
        };
        tools.check_node()?;
        Ok(tools)
    }

    fn check_node(&self) -> Result<()> {
        let mut version = Command::new(&self.node);
        version.arg("--version");
        let version = child::read(version)?;
        if release(&version).is_none_or(|release| release < NODE) {
            let (major, minor) = NODE;
            bail!(
                "Node {major}.{minor} or newer is needed, this is {}",
                version.trim()
            );
        }
        Ok(())
    }
}

fn chromium() -> Option<PathBuf> {
    CHROMIUM.iter().find_map(|name| install::on_path(name))
}

/// The first two numbers of `v18.20.4`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_version_is_read() {
        assert_eq!(release("v18.20.4\n"), Some((18, 20)));
        assert_eq!(release("v8.1.0"), Some((8, 1)));
        assert_eq!(release("18.20.4"), None);
        assert_eq!(release(""), None);
    }
}
