//! Real processes on a real Redis and a real etcd, one frozen past its TTL in its critical section and one killed in
//! it: what they did is recorded and put to the same checker as what the simulator does.
//!
//! The test binary runs itself as the processes ([`worker::worker`]). The protected resource is in the test's own
//! process ([`resource`]): it sees the true order of what reaches it, and stops a worker at the worst moment.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)] // Real time, with bounds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::zombie_processes)] // Helpers of tests fail as tests do.

#[allow(dead_code)] // What only the fidelity tests use.
#[path = "../fidelity_etcd/server.rs"]
mod etcd_server;
#[path = "../../../dlock-redis/tests/support/mod.rs"]
mod redis_support;
mod resource;
mod worker;

use std::path::{Path, PathBuf};

use dlock_core::store::LockStore;
use dlock_etcd::EtcdStore;
use dlock_redis::RedisStore;
use dlock_sim::checker::{Property, Report, Violation, check_file};
use dlock_sim::trace::{Header, Kind, NodeInfo, ProcessRecorder, Role, Trace, Verdict};

use resource::{Ledger, STORAGE};
use worker::Worker;

#[tokio::test]
async fn on_redis() {
    let Some(url) = redis_support::redis() else {
        return redis_support::skip("there is no redis-server");
    };
    let store = RedisStore::connect(url.as_str()).await.unwrap();
    let header = header("real processes", &store);
    holds(&run("redis", &url, header));
}

#[tokio::test]
async fn on_etcd() {
    let own;
    let endpoint = match std::env::var("DLOCK_TEST_ETCD") {
        Ok(endpoint) => endpoint,
        Err(_) => match etcd_server::Server::start() {
            Some(server) => {
                own = server;
                own.endpoint.clone()
            }
            None => return,
        },
    };
    let store = EtcdStore::connect([endpoint.clone()]).await.unwrap();
    let header = header("real processes", &store);
    holds(&run("etcd", &endpoint, header));
}

/// Three processes; one is frozen past its TTL between its claim and its write, one is killed there. Returns the trace.
fn run(store: &str, url: &str, header: Header) -> PathBuf {
    let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("real-{store}"));
    let _ = std::fs::remove_dir_all(&home);
    std::fs::create_dir_all(&home).unwrap();
    let prefix = redis_support::unique("real");
    let recorder = |name: &str| {
        let path = home.join(format!("{name}.jsonl"));
        ProcessRecorder::create(path, name, 0).unwrap()
    };
    let world = recorder("world");
    let ledger = Ledger::open(recorder(STORAGE));
    let start = |number| Worker::start(number, store, url, &prefix, ledger.address(), &home);
    let workers: Vec<Worker> = (1..=3).map(start).collect();
    for worker in &workers {
        ledger.wait_for(&worker.name, 10);
    }
    // In its critical section: it has claimed, and is answered when somebody else has.
    let frozen = &workers[0];
    let claim = ledger.hold_next_claim(&frozen.name);
    frozen.say(&home, "paused");
    frozen.signal("STOP");
    ledger.wait_for_newer(&claim);
    ledger.answer();
    frozen.signal("CONT");
    frozen.say(&home, "resumed");
    ledger.wait_for(&frozen.name, 10);
    let killed = &workers[1];
    let claim = ledger.hold_next_claim(&killed.name);
    killed.signal("KILL");
    killed.wait_for_death();
    killed.say(&home, "crashed");
    ledger.answer();
    ledger.wait_for_newer(&claim);
    world.record(Kind::Healed { core: None });
    for worker in [&workers[0], &workers[2]] {
        ledger.wait_for(&worker.name, 10);
    }
    workers.into_iter().for_each(Worker::end);
    world.record(Kind::End);
    let files = std::fs::read_dir(&home)
        .unwrap()
        .map(|file| file.unwrap().path());
    let trace = Trace::gather(header, files).unwrap();
    let path = home.with_extension("trace.jsonl");
    trace.save(&path).unwrap();
    path
}

fn header(title: &str, store: &dyn LockStore) -> Header {
    let node = |name: &str, role| NodeInfo {
        name: name.to_owned(),
        role,
    };
    Header {
        nodes: vec![node("world", Role::World), node(STORAGE, Role::Storage)],
        // Two TTLs of dead holders, and a busy machine.
        liveness_bound_ns: Some(20_000_000_000),
        ..Header::of_real(title, &store.capabilities())
    }
}

fn holds(path: &Path) {
    let report = check_file(path).unwrap();
    println!("{}\n{report}", path.display());
    assert_eq!(report.violations(), Vec::<&Violation>::new(), "{report}");
    let verdict = |property| report.of(property).unwrap().verdict;
    for property in [Property::S1, Property::S3, Property::S4, Property::L1] {
        assert_eq!(verdict(property), Verdict::Valid, "{report}");
    }
    for property in [Property::S2, Property::S5, Property::S6, Property::S7] {
        assert_eq!(verdict(property), Verdict::Unknown, "{report}");
    }
    would_be_seen(path, &report);
}

/// The same trace, had the fence let the frozen holder's write through, is a violation.
fn would_be_seen(path: &Path, report: &Report) {
    let mut trace = Trace::load(path).unwrap();
    let mut refused = 0;
    for event in &mut trace.events {
        if let Kind::Storage { accepted, .. } = &mut event.kind
            && !*accepted
        {
            *accepted = true;
            refused += 1;
        }
    }
    assert!(
        refused > 0,
        "no stale holder reached the resource: {report}"
    );
    let report = dlock_sim::checker::check(&trace.header, &trace.events);
    let verdict = report.of(Property::S3).unwrap().verdict;
    assert_eq!(verdict, Verdict::Invalid, "{report}");
}
