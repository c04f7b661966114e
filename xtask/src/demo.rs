//! `cargo xtask demo`: the simulator plays the catalogue of failures and writes a page for each.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::arguments::Demo;
use crate::child;
use crate::real_demo;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, demo: Demo) -> Result<ExitCode> {
    match demo {
        Demo::Catalogue => catalogue(workspace),
        Demo::Real { store } => real_demo::run(workspace, store),
    }
}

fn catalogue(workspace: &Workspace) -> Result<ExitCode> {
    let folder = workspace.target.join("demo");
    let index = folder.join("index.html");
    // If it is there afterwards, it is of this run.
    let _ = fs::remove_file(&index);
    let mut command = workspace.cargo();
    command
        .args(["run", "--package", "dlock-sim", "--all-features"])
        .args(["--bin", "dlock-sim", "--", "catalogue", "--out"])
        .arg(&folder);
    let status = child::on_terminal(command)?;
    if index.exists() {
        println!("\nthe pages: {}", file_url(&index));
    }
    Ok(child::exit_code(status))
}

/// What to open in a browser.
fn file_url(file: &Path) -> String {
    let mut url = "file://".to_owned();
    for &byte in file.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_as_a_browser_wants_it() {
        assert_eq!(file_url(Path::new("/w/a-b.html")), "file:///w/a-b.html");
        assert_eq!(
            file_url(Path::new("/my work/é#1%.html")),
            "file:///my%20work/%C3%A9%231%25.html"
        );
    }
}
