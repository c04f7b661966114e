//! The shim `xtask/protoc`, with scripts in place of protoc, cargo and rustc.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

const SHIM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/protoc");

const COMPLETE: &str = r#"echo "the machine's $*""#;
const INCOMPLETE: &str = "echo google/protobuf/descriptor.proto: not found >&2; exit 1";

/// A cargo that builds a substitute which says under what circumstances it was built.
const CARGO: &str = r#"built="$CARGO_TARGET_DIR/protoc/host/debug"
mkdir -p "$built"
echo "echo \"built with $* flags=${RUSTFLAGS-none}, called with \$*\"" >"$built/protoc"
chmod +x "$built/protoc""#;
const BROKEN_CARGO: &str = "echo offline >&2; exit 101";

struct Machine(TempDir);

impl Machine {
    fn with(protoc: &str, cargo: &str) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        fs::create_dir(machine.path("")).unwrap();
        let rustc = "echo host: host";
        for (name, script) in [("protoc", protoc), ("cargo", cargo), ("rustc", rustc)] {
            let file = machine.path(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        machine
    }

    fn run_shim(&self) -> Output {
        let path = std::env::var("PATH").unwrap();
        Command::new(SHIM)
            .args(["-o", "out file"])
            .env("PATH", format!("{}:{path}", self.path("").display()))
            .env("CARGO", self.path("cargo"))
            .env("RUSTC", self.path("rustc"))
            .env("CARGO_TARGET_DIR", self.0.path())
            .env("RUSTFLAGS", "--cfg dlock_loom")
            .output()
            .unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("bin").join(name)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_complete_protoc_is_used() {
    let output = Machine::with(COMPLETE, BROKEN_CARGO).run_shim();
    assert_eq!(text(&output.stdout), "the machine's -o out file\n");
}

#[test]
fn an_incomplete_one_is_replaced() {
    let output = Machine::with(INCOMPLETE, CARGO).run_shim();
    let said = text(&output.stdout);
    assert!(said.contains("--locked --target host"), "{said}");
    assert!(
        said.ends_with("flags=none, called with -o out file\n"),
        "{said}"
    );
}

#[test]
fn without_either_it_says_what_to_do() {
    let output = Machine::with(INCOMPLETE, BROKEN_CARGO).run_shim();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    for words in ["offline", "protobuf-compiler", "PROTOC="] {
        assert!(said.contains(words), "{words}: {said}");
    }
}
