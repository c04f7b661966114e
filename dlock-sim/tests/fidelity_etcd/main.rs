//! The simulated etcd answers as a real one does: the same generated requests go to both, and the answers and
//! watch events must be equal.
#![cfg(feature = "etcd")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // A helper of tests may unwrap as tests do.
#![allow(clippy::disallowed_methods)] // Real servers live in real time, on real threads.

mod expiry;
mod majority;
mod play;
mod server;
mod trace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dlock_core::conformance::VirtualRuntime;
use dlock_core::runtime::Runtime;
use dlock_sim::etcd::{EtcdCluster, EtcdOptions, client, serve};
use dlock_sim::trace::{Recorder, TrueClock};
use etcd_client::Client;

use play::{Transcript, play};
use server::Server;
use trace::Trace;

/// How many traces; `DLOCK_FIDELITY_TRACES` says another number.
const TRACES: u64 = 2300;
/// Each with a real etcd of its own: watchers that catch up make it wait.
const WORKERS: u64 = 3;

#[test]
fn generated_traces_are_answered_alike() {
    let traces = std::env::var("DLOCK_FIDELITY_TRACES").ok();
    let traces = traces.map_or(TRACES, |count| count.parse().expect("a number"));
    let next = AtomicU64::new(1);
    let totals = Totals::default();
    let differences = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| scope.spawn(|| compare(&next, traces, &totals)))
            .collect();
        let found = workers.into_iter().flat_map(|one| one.join().unwrap());
        found.collect::<Vec<_>>()
    });
    println!(
        "{} traces, {} replies ({} refusals), {} watch messages ({} compacted), {} differences",
        totals.traces.load(Ordering::Relaxed),
        totals.replies.load(Ordering::Relaxed),
        totals.refusals.load(Ordering::Relaxed),
        totals.told.load(Ordering::Relaxed),
        totals.compacted.load(Ordering::Relaxed),
        differences.len()
    );
    assert!(
        differences.is_empty(),
        "{} traces differ. The first of them:\n{}",
        differences.len(),
        differences[..differences.len().min(3)].join("\n")
    );
}

/// A watcher that a compaction has ended keeps its number until it is cancelled.
#[test]
fn a_watcher_that_was_compacted_away_keeps_its_number_alike() {
    let Some(server) = Server::start() else {
        return;
    };
    let trace = Trace::of_a_compacted_watcher();
    let simulated = simulate(&trace);
    let real = real_runtime().block_on(async {
        let client = Client::connect([&server.endpoint], None).await;
        play(&trace, client.expect("a connection"), Some(&simulated)).await
    });
    assert_eq!(simulated, real);
    let refused = real.told[&-1].concat();
    assert!(refused.contains("duplicate watch ID"), "{refused}");
}

#[test]
fn leases_end_alike() {
    let Some(server) = Server::start() else {
        return;
    };
    let real = real_runtime().block_on(async {
        let client = Client::connect([&server.endpoint], None).await;
        let client = client.expect("a connection");
        expiry::end_leases(&client, &expiry::RealTime(Instant::now())).await
    });
    for member in 0..3 {
        let simulated = virtual_runtime().block_on(async {
            let (client, runtime) = simulated_client(member).await;
            expiry::end_leases(&client, &expiry::VirtualTime(runtime)).await
        });
        for (simulated, real) in simulated.iter().zip(&real) {
            assert_eq!(simulated, real);
            assert!(real.contains(&"ended in time: true".to_owned()));
        }
    }
}

#[test]
fn a_leader_that_is_left_alone_answers_alike() {
    left_alone_alike(true);
}

#[test]
fn a_follower_that_is_left_alone_answers_alike() {
    left_alone_alike(false);
}

fn left_alone_alike(the_leader: bool) {
    let Some(servers) = Server::cluster(3) else {
        return;
    };
    let real = real_runtime().block_on(async {
        let cluster = majority::Real { servers: &servers };
        let time = expiry::RealTime(Instant::now());
        majority::lose(&cluster, &time, the_leader).await
    });
    let simulated = virtual_runtime().block_on(async {
        let (cluster, runtime) = simulated_cluster();
        let time = expiry::VirtualTime(runtime.clone());
        let cluster = majority::Simulated { cluster, runtime };
        majority::lose(&cluster, &time, the_leader).await
    });
    assert_eq!(simulated, real);
}

/// A race in the real one, which the request loses now and then; it never does in the simulated one.
#[test]
fn what_was_given_up_is_carried_out_alike() {
    let Some(servers) = Server::cluster(3) else {
        return;
    };
    let cluster = majority::Real { servers: &servers };
    let real = real_runtime().block_on(majority::give_up(&cluster));
    println!("{real} of {} carried out", majority::GIVEN_UP);
    assert!(real > 0);
    let simulated = virtual_runtime().block_on(async {
        let (cluster, runtime) = simulated_cluster();
        majority::give_up(&majority::Simulated { cluster, runtime }).await
    });
    assert_eq!(simulated, majority::GIVEN_UP);
}

#[derive(Default)]
struct Totals {
    traces: AtomicUsize,
    replies: AtomicUsize,
    refusals: AtomicUsize,
    told: AtomicUsize,
    compacted: AtomicUsize,
}

/// Compares one trace after the other, on one real etcd.
fn compare(next: &AtomicU64, traces: u64, totals: &Totals) -> Vec<String> {
    let Some(server) = Server::start() else {
        return Vec::new();
    };
    let runtime = real_runtime();
    let real = runtime.block_on(Client::connect([&server.endpoint], None));
    let real = real.expect("a connection");
    let mut differences = Vec::new();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed > traces || differences.len() > 20 {
            return differences;
        }
        let trace = Trace::generate(seed);
        let simulated = simulate(&trace);
        let answered = runtime.block_on(play(&trace, real.clone(), Some(&simulated)));
        totals.traces.fetch_add(1, Ordering::Relaxed);
        let replies = answered.replies.len();
        totals.replies.fetch_add(replies, Ordering::Relaxed);
        totals
            .refusals
            .fetch_add(answered.refusals, Ordering::Relaxed);
        let told = answered.told.values().map(Vec::len).sum();
        totals.told.fetch_add(told, Ordering::Relaxed);
        let texts = answered.told.values().flatten();
        let compacted = texts.filter(|text| text.contains("compact_revision: 1"));
        totals
            .compacted
            .fetch_add(compacted.count(), Ordering::Relaxed);
        if answered != simulated {
            differences.push(difference(&trace, &simulated, &answered));
        }
    }
}

/// On a cluster of three, in virtual time, over HTTP/2.
fn simulate(trace: &Trace) -> Transcript {
    virtual_runtime().block_on(async {
        let (client, _) = simulated_client(trace.seed as usize % 3).await;
        play(trace, client, None).await
    })
}

fn real_runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

fn virtual_runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

struct Clock(Arc<VirtualRuntime>);

impl TrueClock for Clock {
    fn now_ns(&self) -> u64 {
        self.0.now().as_nanos()
    }
}

async fn simulated_client(member: usize) -> (Client, Arc<dyn Runtime>) {
    let (cluster, runtime) = simulated_cluster();
    let client = connect(&cluster, member, &runtime).await;
    (client, runtime)
}

fn simulated_cluster() -> (EtcdCluster, Arc<dyn Runtime>) {
    let runtime = Arc::new(VirtualRuntime::new(7));
    let recorder = Recorder::new(Arc::new(Clock(runtime.clone())));
    let options = EtcdOptions {
        commit_delay: Duration::ZERO,
        read_delay: Duration::ZERO,
        apply_lag: Duration::ZERO,
        ..EtcdOptions::default()
    };
    let cluster = EtcdCluster::new(options, recorder);
    let driven = (cluster.clone(), runtime.clone());
    runtime.spawn(Box::pin(async move { driven.0.drive(driven.1).await }));
    (cluster, runtime)
}

async fn connect(cluster: &EtcdCluster, member: usize, runtime: &Arc<dyn Runtime>) -> Client {
    let (cluster, servers) = (cluster.clone(), runtime.clone());
    let connect = move || {
        let (here, there) = tokio::io::duplex(64 * 1024);
        let peer = "client".to_owned();
        let serving = serve(cluster.clone(), member, there, peer, servers.clone());
        servers.spawn(Box::pin(serving));
        async move { Ok(here) }
    };
    client(runtime.clone(), connect).await.expect("a client")
}

fn difference(trace: &Trace, simulated: &Transcript, real: &Transcript) -> String {
    let mut text = format!("seed {}\n", trace.seed);
    for (simulated, real) in simulated.replies.iter().zip(&real.replies) {
        if simulated != real {
            let step = &trace.steps[simulated.0];
            text += &format!("step {} {step:?}\n", simulated.0);
            text += &format!("  simulated {}\n  real      {}\n", simulated.1, real.1);
            break;
        }
    }
    for id in simulated.told.keys().chain(real.told.keys()) {
        let (simulated, real) = (simulated.told.get(id), real.told.get(id));
        if simulated != real {
            text += &format!("watcher {id}\n  simulated {simulated:#?}\n  real      {real:#?}\n");
            break;
        }
    }
    for (at, step) in trace.steps.iter().enumerate() {
        text += &format!("{at}: {step:?}\n");
    }
    text
}
