use std::sync::Arc;
use std::time::Duration;

use dlock_core::conformance::VirtualRuntime;
use dlock_core::runtime::Runtime;
use dlock_sim::etcd::{EtcdCluster, EtcdOptions, client, serve};
use dlock_sim::trace::{Kind, Recorder, TrueClock};
use etcd_client::{Client, Error};

/// A cluster of three, and the time it lives in.
#[derive(Clone)]
pub struct World {
    pub cluster: EtcdCluster,
    pub recorder: Recorder,
    pub runtime: Arc<VirtualRuntime>,
}

struct Clock {
    runtime: Arc<VirtualRuntime>,
    began: u64,
}

impl TrueClock for Clock {
    fn now_ns(&self) -> u64 {
        self.runtime.now().as_nanos() - self.began
    }
}

pub const SECOND: Duration = Duration::from_secs(1);

/// Runs a test in virtual time.
pub fn run<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let tokio = builder.enable_time().start_paused(true).build().unwrap();
    tokio.block_on(async {
        test(World::new()).await;
    });
}

impl World {
    fn new() -> Self {
        let runtime = Arc::new(VirtualRuntime::new(7));
        let began = runtime.now().as_nanos();
        let clock = Clock {
            runtime: runtime.clone(),
            began,
        };
        let recorder = Recorder::new(Arc::new(clock));
        let cluster = EtcdCluster::new(EtcdOptions::default(), recorder.clone());
        let driven = (cluster.clone(), runtime.clone());
        runtime.spawn(Box::pin(async move { driven.0.drive(driven.1).await }));
        Self {
            cluster,
            recorder,
            runtime,
        }
    }

    /// A client of this name that talks to this member.
    pub async fn client(&self, name: &str, member: usize) -> Client {
        let (cluster, name, servers) =
            (self.cluster.clone(), name.to_owned(), self.runtime.clone());
        let connect = move || {
            let (here, there) = tokio::io::duplex(64 * 1024);
            let serving = serve(
                cluster.clone(),
                member,
                there,
                name.clone(),
                servers.clone(),
            );
            servers.spawn(Box::pin(serving));
            async move { Ok(here) }
        };
        client(self.runtime.clone(), connect).await.unwrap()
    }

    pub async fn sleep(&self, duration: Duration) {
        self.runtime.sleep(duration).await;
    }

    /// Since the beginning.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.recorder.now_ns())
    }

    /// Runs a future to its end, and says how long it took.
    pub async fn time<T>(&self, future: impl Future<Output = T>) -> (T, Duration) {
        let began = self.now();
        let output = future.await;
        (output, self.now() - began)
    }

    /// What was written about locks, in short.
    pub fn authority(&self) -> Vec<String> {
        let events = self.recorder.events();
        let texts = events.into_iter().filter_map(|event| {
            let at = Duration::from_nanos(event.t_ns).as_secs_f32();
            let until = |until: Option<u64>| {
                until.map_or("ever".to_owned(), |until| {
                    format!("{:.1}", Duration::from_nanos(until).as_secs_f32())
                })
            };
            let by = |by: Option<String>| by.unwrap_or("nobody".to_owned());
            Some(match event.kind {
                Kind::AuthorityBegins {
                    name,
                    until_ns,
                    by: who,
                    ..
                } => format!(
                    "{at:.1} {name} begins until {} by {}",
                    until(until_ns),
                    by(who)
                ),
                Kind::AuthorityMoved {
                    name,
                    until_ns,
                    by: who,
                    ..
                } => format!(
                    "{at:.1} {name} moved until {} by {}",
                    until(until_ns),
                    by(who)
                ),
                Kind::AuthorityEnds {
                    name, why, by: who, ..
                } => format!("{at:.1} {name} ends: {why:?} by {}", by(who)),
                _ => return None,
            })
        });
        texts.collect()
    }
}

/// What a refusal says.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::GRpcStatus(status)) => status.message().to_owned(),
        Err(other) => other.to_string(),
        Ok(output) => format!("{output:?}"),
    }
}

pub fn roughly(duration: Duration, expected: f64) {
    let off = (duration.as_secs_f64() - expected).abs();
    assert!(off < 0.05, "{duration:?}, and not {expected} s");
}
