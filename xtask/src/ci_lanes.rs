//! The lanes of `cargo xtask ci`: those of `test`, and everything that is checked besides.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::child;
use crate::install;
use crate::lanes::{Lane, Verdict};
use crate::session::{Session, run_checks};
use crate::test_lanes;
use crate::test_servers::Server;
use crate::workspace::Workspace;

/// The first cargo that packages crates which depend on each other and are not published yet.
const PACKAGES_WORKSPACES: (u32, u32) = (1, 90);

pub(crate) fn all(workspace: &Workspace, with_deny: bool) -> Vec<Lane> {
    let mut lanes = vec![
        Lane::new("fmt", "formatting", |session| {
            run_checks(vec![session.plain_cargo(&["fmt", "--all", "--check"])])
        }),
        Lane::new("clippy", "lints, as errors", |session| {
            let mut clippy = session.cargo(&["clippy", "--workspace", "--all-targets"]);
            clippy.args(["--all-features", "--", "-D", "warnings"]);
            run_checks(vec![clippy])
        }),
        Lane::new("docs", "documentation, warnings as errors", |session| {
            let mut doc = session.cargo(&["doc", "--workspace", "--no-deps", "--all-features"]);
            doc.env("RUSTDOCFLAGS", "-D warnings");
            run_checks(vec![doc])
        }),
        Lane::new("deny", "licences, sources and bans", move |session| {
            with_cargo_deny(session, with_deny, |deny| {
                run_checks(vec![deny(&["check", "bans", "licenses", "sources"])])
            })
        }),
        Lane::new("advisories", "known vulnerabilities", move |session| {
            with_cargo_deny(session, with_deny, |deny| {
                match child::quiet(deny(&["fetch", "db"])) {
                    Ok(()) => run_checks(vec![deny(&["check", "advisories"])]),
                    Err(reason) => Ok(Verdict::skipped(format!("no database: {reason:#}"))),
                }
            })
        }),
    ];
    lanes.extend(test_lanes::all());
    for member in workspace.members.iter().filter(|m| m.published) {
        lanes.push(alone(member.name.clone()));
    }
    lanes.push(Lane::new(
        "package",
        "what would be published, built from its archive",
        package,
    ));
    lanes
}

/// A workspace hides a feature that one crate needs and another enables; alone it shows.
fn alone(name: String) -> Lane {
    let about = "built without default features and tested, without the rest of the workspace";
    Lane::new(format!("alone:{name}"), about, move |session| {
        let build = session.cargo(&["build", "--package", &name, "--no-default-features"]);
        let built = run_checks(vec![build])?;
        if built.has_failed() {
            return Ok(built);
        }
        let tests = session.tests(&["--package", &name]);
        session.on(session.binaries(Server::ALL)?, tests)
    })
    .needing(Server::ALL)
}

fn with_cargo_deny(
    session: &Session,
    may_install: bool,
    check: impl FnOnce(&dyn Fn(&[&str]) -> Command) -> Result<Verdict>,
) -> Result<Verdict> {
    let Some(binary) = cargo_deny(session, may_install)? else {
        return Ok(Verdict::skipped(
            "no cargo-deny: `cargo install --locked cargo-deny`, or `cargo xtask ci --with-deny`",
        ));
    };
    check(&|words: &[&str]| {
        let mut deny = Command::new(&binary);
        deny.current_dir(&session.workspace.root);
        deny.args(["--workspace", "--all-features", "--locked"]);
        deny.args(words);
        deny
    })
}

fn cargo_deny(session: &Session, may_install: bool) -> Result<Option<PathBuf>> {
    if let Some(found) = install::on_path("cargo-deny") {
        return Ok(Some(found));
    }
    let tools = session.workspace.target.join("tools");
    let binary = tools.join("bin/cargo-deny");
    if !binary.exists() {
        if !may_install {
            return Ok(None);
        }
        let mut install = session.plain_cargo(&["install", "cargo-deny", "--locked", "--root"]);
        install.arg(&tools);
        let (status, _) = child::counted(install)?;
        if !status.success() {
            anyhow::bail!("cargo-deny cannot be installed ({status})");
        }
    }
    Ok(Some(binary))
}

fn package(session: &Session) -> Result<Verdict> {
    let version = session.plain_cargo(&["--version"]).output()?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if release(&version).with_context(|| format!("`{version}` is no version"))?
        < PACKAGES_WORKSPACES
    {
        let (major, minor) = PACKAGES_WORKSPACES;
        return Ok(Verdict::skipped(format!(
            "cargo {major}.{minor} is needed, this is {version}"
        )));
    }
    let mut package = session.cargo(&["package", "--workspace", "--allow-dirty"]);
    for member in session.workspace.members.iter().filter(|m| !m.published) {
        package.args(["--exclude", &member.name]);
    }
    run_checks(vec![package])
}

/// The first two numbers of `cargo 1.95.0 (f2d3ce0bd 2026-03-21)`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_version_is_read() {
        assert_eq!(
            release("cargo 1.95.0 (f2d3ce0bd 2026-03-21)\n"),
            Some((1, 95))
        );
        assert_eq!(release("cargo 1.88.0-nightly"), Some((1, 88)));
        assert_eq!(release("cargo"), None);
        assert!((1, 88) < PACKAGES_WORKSPACES);
    }
}
