//! One seed, one trace: byte for byte, twice in this process and twice in others, with the real client libraries inside.
#![allow(clippy::unwrap_used)] // Helpers of tests do as tests do.

use std::process::Command;

use dlock_sim::{Faults, Simulation, stores};

/// In-process seeds; the ones that are also played by other processes.
const SEEDS: std::ops::Range<u64> = 0..20;

fn trace(store: &str, seed: u64) -> String {
    let simulation = Simulation::sweep(stores::find(store).unwrap()).faults(Faults::swarm());
    simulation.trace_of(seed).unwrap().to_jsonl().unwrap()
}

fn trace_of_another_process(store: &str, seed: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dlock-sim"))
        .args(["trace", "--store", store, "--seed", &seed.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn is_deterministic(store: &str) {
    let mut different = std::collections::BTreeSet::new();
    for seed in SEEDS {
        let first = trace(store, seed);
        for (which, again) in [
            ("this process again", trace(store, seed)),
            ("another process", trace_of_another_process(store, seed)),
            ("a third process", trace_of_another_process(store, seed)),
        ] {
            if first != again {
                let line = first.lines().zip(again.lines()).position(|(a, b)| a != b);
                let line = line.unwrap_or(0);
                panic!(
                    "{store}, seed {seed}, {which}: line {line} differs\n{}\n{}",
                    first.lines().nth(line).unwrap_or_default(),
                    again.lines().nth(line).unwrap_or_default()
                );
            }
        }
        different.insert(first);
    }
    // Else the seed would decide nothing.
    assert_eq!(different.len(), SEEDS.count());
}

#[test]
fn redis_is_deterministic() {
    is_deterministic("redis-replica");
}

#[test]
fn etcd_is_deterministic() {
    is_deterministic("etcd");
}
