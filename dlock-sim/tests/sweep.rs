//! Many schedules with random faults, always the same seeds: nothing that the stores promise is broken. More seeds, and
//! others: `dlock-sim explore`.
#![allow(clippy::unwrap_used)] // Helpers of tests do as tests do.

use std::ops::Range;
use std::time::Duration;

use dlock_sim::{Faults, Plan, Property, Simulation, Summary, Swarm, stores};

fn swept(simulation: Simulation, store: &str, faults: Faults, seeds: Range<u64>) -> Summary {
    let count = seeds.end - seeds.start;
    let summary = simulation.faults(faults).seeds(seeds).run();
    println!(
        "{store}: {summary}; violated where the faults allow it: {:?}",
        summary.witnessed
    );
    assert_eq!(summary.schedules, count);
    assert!(summary.fewest_grants >= 20, "{summary:?}");
    // A sweep in which nobody contends shows nothing.
    assert!(summary.exercised * 10 >= count * 9, "{summary:?}");
    summary
}

fn sweep(store: &str, faults: Faults, seeds: Range<u64>) {
    let simulation = Simulation::sweep(stores::find(store).unwrap());
    swept(simulation, store, faults, seeds);
}

/// With time after the faults in which everybody asks for locks: for what counts only then.
fn calm_sweep(store: &str, seeds: Range<u64>) {
    let mut swarm = Swarm::default();
    swarm.cores = true;
    let count = seeds.end - seeds.start;
    let calm = Duration::from_secs(8);
    for faults in [Faults::gentle_swarm(), Faults::Swarm(swarm)] {
        let simulation = Simulation::sweep(stores::find(store).unwrap())
            .client_count(4)
            .calm(calm);
        let summary = swept(simulation, store, faults, seeds.clone());
        assert_eq!(
            summary.tested.get(&Property::L2),
            Some(&count),
            "{summary:?}"
        );
        let fair = summary.tested.get(&Property::L4).copied().unwrap_or(0);
        assert!(fair * 4 >= count, "{summary:?}");
    }
}

#[test]
fn redis_keeps_its_promises() {
    sweep("redis", Faults::gentle_swarm(), 0..60);
}

#[test]
fn replicated_redis_keeps_its_promises_under_violence() {
    sweep("redis-replica", Faults::swarm(), 0..60);
}

#[test]
fn etcd_keeps_its_promises() {
    sweep("etcd", Faults::gentle_swarm(), 0..30);
}

#[test]
fn etcd_keeps_its_promises_under_violence() {
    sweep("etcd", Faults::swarm(), 0..30);
}

#[test]
fn redis_is_fair_once_the_faults_are_over() {
    calm_sweep("redis", 0..15);
}

#[test]
fn etcd_is_fair_once_the_faults_are_over() {
    calm_sweep("etcd", 0..8);
}

/// Found by a sweep: the connection over which wakeups come had died without a word, and for up to twelve seconds a
/// client missed its turns.
#[test]
fn a_dead_wakeup_link_is_noticed_while_somebody_waits() {
    let plan = Plan::load(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/found/redis-dead-wakeup-link.json"
    ));
    let simulation = Simulation::sweep(stores::find("redis").unwrap());
    let summary = simulation.plan(plan.unwrap()).run();
    assert!(summary.tested.contains_key(&Property::L4), "{summary:?}");
}
