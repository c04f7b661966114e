use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// Where the binary `bench` of `dlock-workloads` is, once it is built.
pub(super) fn build(workspace: &Workspace) -> Result<PathBuf> {
    let mut build = workspace.cargo();
    build.args(["build", "--release", "--package", "dlock-workloads"]);
    build.args(["--bin", "bench"]);
    build.arg("--message-format=json-render-diagnostics");
    println!("building the bench: minutes the first time");
    build.stderr(Stdio::inherit());
    built(build)
}

fn built(mut build: Command) -> Result<PathBuf> {
    let output = build.output().context("running cargo build")?;
    if !output.status.success() {
        bail!("the bench does not build");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    executable(&messages, "bench").context("cargo built no bench")
}

/// Where cargo says it has put this program.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == name;
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_where_cargo_says() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/no"}
{"reason":"compiler-artifact","target":{"name":"bench"},"executable":"/yes"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "bench"), Some(PathBuf::from("/yes")));
        assert_eq!(executable(messages, "demo"), None);
    }
}
