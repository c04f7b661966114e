//! One seed, one trace, to the byte: in this process, and in any other.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::simulation;

const SEEDS: std::ops::Range<u64> = 0..5;

/// What another process writes its traces to; set by this test when it starts itself.
const FOLDER: &str = "INVOICE_TRACES";

#[test]
fn one_seed_gives_the_same_bytes_in_every_process() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        for seed in SEEDS {
            std::fs::write(file(Path::new(&folder), seed), trace(seed)).unwrap();
        }
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("traces");
    std::fs::create_dir_all(&folder).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "determinism::one_seed_gives_the_same_bytes_in_every_process",
        ])
        .env(FOLDER, &folder)
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    for seed in SEEDS {
        let here = trace(seed);
        assert!(
            here.len() > 10_000,
            "seed {seed}: a trace of {} bytes shows nothing",
            here.len()
        );
        assert!(
            here == trace(seed),
            "seed {seed} differs within this process"
        );
        let there = std::fs::read(file(&folder, seed)).unwrap();
        assert!(here == there, "seed {seed} differs between processes");
    }
    assert!(trace(0) != trace(1), "a seed decides something");
}

fn file(folder: &Path, seed: u64) -> PathBuf {
    folder.join(format!("seed-{seed}.jsonl"))
}

fn trace(seed: u64) -> Vec<u8> {
    let trace = simulation()
        .title("an item for an invoice")
        .trace_of(seed)
        .unwrap();
    let mut bytes = Vec::new();
    trace.write(&mut bytes).unwrap();
    bytes
}
