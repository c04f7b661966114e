//! Many schedules with random faults, always the same seeds: nothing that the stores promise is broken. More seeds, and
//! others: `dlock-sim explore`.
#![allow(clippy::unwrap_used)] // Helpers of tests do as tests do.

use std::ops::Range;

use dlock_sim::{Faults, Simulation, stores};

fn sweep(store: &str, faults: Faults, seeds: Range<u64>) {
    let count = seeds.end - seeds.start;
    let summary = Simulation::sweep(stores::find(store).unwrap())
        .faults(faults)
        .seeds(seeds)
        .run();
    println!(
        "{store}: {} schedules, {} grants, {} faults, {:.0} simulated seconds; violated where the faults allow it: {:?}",
        summary.schedules,
        summary.grants,
        summary.faults,
        summary.simulated.as_secs_f64(),
        summary.witnessed
    );
    assert_eq!(summary.schedules, count);
    // A sweep in which nobody contends shows nothing.
    assert!(summary.exercised * 10 >= count * 9, "{summary:?}");
}

#[test]
fn redis_keeps_its_promises() {
    sweep("redis", Faults::gentle_swarm(), 0..150);
}

#[test]
fn replicated_redis_keeps_its_promises_under_violence() {
    sweep("redis-replica", Faults::swarm(), 0..150);
}

#[test]
fn etcd_keeps_its_promises() {
    sweep("etcd", Faults::gentle_swarm(), 0..60);
}

#[test]
fn etcd_keeps_its_promises_under_violence() {
    sweep("etcd", Faults::swarm(), 0..60);
}
