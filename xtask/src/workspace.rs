//! Where the workspace and its target folder are, and which crates it has.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) members: Vec<Member>,
}

pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) published: bool,
}

impl Workspace {
    pub(crate) fn load() -> Result<Self> {
        let output = Command::new(cargo())
            .args(["metadata", "--no-deps", "--format-version=1"])
            .output()
            .context("running cargo metadata")?;
        if !output.status.success() {
            bail!(
                "cargo metadata failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Self::from_metadata(&output.stdout).context("reading what cargo metadata printed")
    }

    fn from_metadata(json: &[u8]) -> Result<Self> {
        let metadata: Value = serde_json::from_slice(json)?;
        let folder = |key: &str| metadata[key].as_str().map(PathBuf::from).context("a path");
        let packages = metadata["packages"].as_array().context("packages")?;
        let members = packages.iter().filter_map(|package| {
            Some(Member {
                name: package["name"].as_str()?.to_owned(),
                // `publish = false` is an empty list of registries, no restriction is null.
                published: package["publish"].is_null(),
            })
        });
        Ok(Self {
            root: folder("workspace_root")?,
            target: folder("target_directory")?,
            members: members.collect(),
        })
    }

    /// The cargo that runs xtask, started at the workspace's root.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(cargo());
        command.current_dir(&self.root);
        command
    }

    /// What is kept between runs: downloads, and the state of `servers up`.
    pub(crate) fn servers(&self) -> PathBuf {
        self.target.join("servers")
    }
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpublished_crates_are_told_from_published_ones() {
        let json = br#"{"workspace_root": "/w", "target_directory": "/w/target", "packages": [
            {"name": "one", "publish": null}, {"name": "two", "publish": []}]}"#;
        let workspace = Workspace::from_metadata(json).unwrap();
        let members: Vec<_> = workspace
            .members
            .iter()
            .map(|member| (member.name.as_str(), member.published))
            .collect();
        assert_eq!(members, [("one", true), ("two", false)]);
        assert_eq!(workspace.servers(), PathBuf::from("/w/target/servers"));
    }

    #[test]
    fn metadata_without_a_root_is_an_error() {
        assert!(Workspace::from_metadata(br#"{"packages": []}"#).is_err());
    }
}
