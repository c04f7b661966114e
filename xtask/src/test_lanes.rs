//! The lanes of `cargo xtask test`.

use std::process::Command;

use anyhow::Result;

use crate::browser;
use crate::lanes::{Lane, Verdict};
use crate::python;
use crate::session::{Session, run_tests};
use crate::test_servers::{Binaries, Server};

pub(crate) fn all() -> Vec<Lane> {
    vec![
        Lane::new(
            "determinism",
            "one seed, one trace: what everything else in the simulator stands on",
            |session| run_tests(session.tests(&["--package", "dlock-sim", "--all-features", "--test", "determinism"])),
        ),
        Lane::new(
            "simulation",
            "the simulator: fidelity to real servers, witnesses, broken locks that must be caught, models, a sweep",
            |session| {
                let all = ["--package", "dlock-sim", "--all-features", "--tests"];
                session.on(session.binaries(Server::ALL)?, session.tests(&all))
            },
        )
        .needing(Server::ALL),
        Lane::new(
            "browser",
            "the pages of the failure catalogue in a headless Chromium: what they show, do, and may not do",
            browser::test,
        ),
        Lane::new(
            "downstream",
            "somebody else's crate that tests its own critical section with the simulator",
            |session| {
                let manifest = session.workspace.root.join("dlock-sim/downstream/Cargo.toml");
                let mut tests = session.cargo(&["test", "--locked", "--manifest-path"]);
                tests
                    .arg(manifest)
                    .env("CARGO_TARGET_DIR", session.workspace.target.join("downstream"));
                run_tests(vec![tests])
            },
        ),
        Lane::new(
            "unit+integration",
            "unit, property, integration and real-process tests, conformance on memory, Redis and etcd",
            |session| {
                let all = ["--workspace", "--exclude", "dlock-sim", "--all-features"];
                session.on(session.binaries(Server::ALL)?, session.tests(&all))
            },
        )
        .needing(Server::ALL),
        Lane::new(
            "valkey",
            "dlock-redis's integration tests once more, on Valkey 9",
            valkey,
        )
        .needing(&[Server::Redis]),
        Lane::new(
            "etcd-3.5",
            "dlock-etcd's integration tests once more, on etcd 3.5",
            etcd,
        ),
        Lane::new("doc", "every example in the documentation", |session| {
            run_tests(vec![session.cargo(&[
                "test",
                "--doc",
                "--workspace",
                "--all-features",
                "--no-fail-fast",
            ])])
        }),
        Lane::new(
            "loom",
            "every interleaving of what guard, scheduler and drop share; the two panics are of seeded bugs that it must find",
            |session| run_tests(vec![loom(session)]),
        ),
    ]
}

fn valkey(session: &Session) -> Result<Verdict> {
    let binary = match python::valkey_server(&session.workspace) {
        Ok(binary) => binary,
        Err(reason) => return Ok(Verdict::skipped(format!("no Valkey: {reason:#}"))),
    };
    let tests = session.tests(&["--package", "dlock-redis", "--all-features", "--test", "*"]);
    let binaries = Binaries {
        redis: Some(&binary),
        etcd: None,
    };
    session.on(binaries, tests)
}

fn etcd(session: &Session) -> Result<Verdict> {
    let etcd = match python::etcd(&session.workspace) {
        Ok(etcd) => etcd,
        Err(reason) => return Ok(Verdict::skipped(format!("no etcd 3.5: {reason:#}"))),
    };
    let tests = session.tests(&["--package", "dlock-etcd", "--all-features", "--test", "*"]);
    let binaries = Binaries {
        redis: None,
        etcd: Some(&etcd),
    };
    session.on(binaries, tests)
}

fn loom(session: &Session) -> Command {
    let mut command = session.cargo(&["test", "--package", "dlock-core", "--lib", "--release"]);
    command
        // Flags that differ from the other lanes' would rebuild everything in a shared folder.
        .env("CARGO_TARGET_DIR", session.workspace.target.join("loom"))
        .env("RUSTFLAGS", "--cfg dlock_loom")
        // Pays off for what runs for long.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // Each test prints how many executions it explored.
        .args(["loom", "--", "--nocapture", "--test-threads=1"]);
    command
}
