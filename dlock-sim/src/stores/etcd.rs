use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use dlock_core::runtime::Runtime;
use dlock_core::store::{Capabilities, LockStore};
use dlock_etcd::etcd_client::{Channel, Client, ConnectOptions, Error};
use dlock_etcd::{Connector, EtcdStore};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tonic::codegen::Service as Callable;
use tonic::codegen::http::Uri;
use tonic::transport::Endpoint;

use crate::etcd::{EtcdCluster, EtcdOptions, Snapshot, serve};
use crate::faults::FaultKind;
use crate::service::{Phase, Service, SimStore};
use crate::trace::{Recorder, Role};
use crate::world::{Listener, Machine, SimRuntime, SimStream, World};

const PORT: u16 = 2379;

/// etcd, with the real `dlock-etcd` over the real `etcd-client`.
#[derive(Clone, Debug)]
pub struct SimEtcd {
    members: usize,
}

impl SimEtcd {
    /// Three members, `etcd-1` to `etcd-3`; the first leads in the beginning.
    pub fn cluster() -> Self {
        Self { members: 3 }
    }

    fn names(&self) -> Vec<String> {
        (1..=self.members)
            .map(|number| format!("etcd-{number}"))
            .collect()
    }
}

impl SimStore for SimEtcd {
    fn name(&self) -> &str {
        "etcd"
    }

    fn servers(&self) -> Vec<String> {
        self.names()
    }

    fn capabilities(&self) -> Capabilities {
        // What it declares depends on nothing.
        EtcdStore::builder().lazy().map_or_else(
            |_| Capabilities::plain("etcd"),
            |store| store.capabilities(),
        )
    }

    fn found(&self, world: &mut World, verbose: bool) -> Arc<dyn Service> {
        Arc::new(self.found_members(world, verbose))
    }
}

impl SimEtcd {
    pub(crate) fn found_members(&self, world: &mut World, verbose: bool) -> Etcd {
        let names = self.names();
        let options = EtcdOptions {
            members: names.clone(),
            verbose,
            ..EtcdOptions::default()
        };
        // Members share their state, and take turns within a step: for what they share, time must not go back.
        let recorder = world.recorder().never_going_back();
        let cluster = EtcdCluster::new(options, recorder.clone());
        for (member, name) in names.iter().enumerate() {
            let machine = world.machine(name, Role::Server);
            let (cluster, host) = (cluster.clone(), machine.clone());
            world.run(&machine, move || {
                listen(cluster.clone(), member, host.clone())
            });
        }
        Etcd {
            cluster,
            names,
            recorder,
            verbose,
            snapshots: Mutex::default(),
        }
    }
}

async fn listen(cluster: EtcdCluster, member: usize, machine: Arc<Machine>) {
    let Ok(listener) = Listener::bind(PORT).await else {
        return;
    };
    let runtime: Arc<dyn Runtime> = Arc::new(SimRuntime::of(&machine));
    while let Ok((stream, peer)) = listener.accept().await {
        let serving = serve(cluster.clone(), member, stream, peer, runtime.clone());
        runtime.spawn(Box::pin(serving));
    }
}

/// etcd's members in a world.
pub(crate) struct Etcd {
    cluster: EtcdCluster,
    names: Vec<String>,
    recorder: Recorder,
    verbose: bool,
    snapshots: Mutex<BTreeMap<String, Snapshot>>,
}

impl Service for Etcd {
    fn connect(&self, machine: &Arc<Machine>) -> Arc<dyn LockStore> {
        let store = EtcdStore::builder()
            .endpoints(self.endpoints())
            .connector(self.connector(machine))
            .runtime(Arc::new(SimRuntime::of(machine)))
            .lazy();
        match store {
            Ok(store) => Arc::new(store),
            // The options above are in order.
            Err(error) => unreachable!("{error}"),
        }
    }

    fn apply(&self, fault: &FaultKind, phase: Phase) {
        let on = phase == Phase::Begins;
        let cluster = &self.cluster;
        let member = |node: &str| self.names.iter().position(|name| name == node);
        match fault {
            FaultKind::Isolate { node } => with(member(node), |member| cluster.isolate(member, on)),
            FaultKind::StallDisk { node } => {
                with(member(node), |member| cluster.stall_disk(member, on));
            }
            FaultKind::Freeze { node } => with(member(node), |member| cluster.freeze(member, on)),
            FaultKind::Slow { node, ms } => with(member(node), |member| {
                let by = if on { *ms } else { 0 };
                cluster.slow(member, Duration::from_millis(by));
            }),
            FaultKind::Restart { node, .. } => with(member(node), |member| {
                if on {
                    cluster.crash(member);
                } else {
                    cluster.restart(member);
                }
            }),
            FaultKind::NewLeader if on => {
                let next = cluster.leader().map_or(0, |leader| leader + 1);
                cluster.change_leader(next % self.names.len());
            }
            FaultKind::Compact if on => {
                cluster.compact(cluster.revision());
            }
            FaultKind::DeleteLock { name } if on => {
                if let Some(key) = self.held_key(name) {
                    cluster.delete_key(key);
                }
            }
            FaultKind::RevokeLease { name } if on => {
                let lease = self.held_key(name).and_then(|key| lease_of(&key));
                with(lease, |lease| {
                    cluster.revoke_lease(lease);
                });
            }
            FaultKind::Restore => self.restore(on),
            _ => {}
        }
    }

    fn stepped(&self) {
        self.cluster.tick();
    }
}

impl Etcd {
    /// A client machine's way to the members.
    pub(crate) fn connector(&self, machine: &Arc<Machine>) -> OverTheWorld {
        OverTheWorld {
            machine: machine.clone(),
            verbose: self.verbose,
        }
    }

    pub(crate) fn endpoints(&self) -> Vec<String> {
        let url = |name| format!("http://{name}:{PORT}");
        self.names.iter().map(url).collect()
    }

    /// The first of a lock's keys in the order of their creation is the owner's.
    fn held_key(&self, name: &str) -> Option<Vec<u8>> {
        self.cluster.oldest_key(format!("lock/{name}/").as_bytes())
    }

    fn restore(&self, begins: bool) {
        let mut snapshots = self.snapshots();
        if begins {
            snapshots.insert("plan".to_owned(), self.cluster.take_snapshot());
        } else if let Some(snapshot) = snapshots.remove("plan") {
            drop(snapshots);
            self.cluster.restore(&snapshot, false);
        }
    }

    fn snapshots(&self) -> MutexGuard<'_, BTreeMap<String, Snapshot>> {
        self.snapshots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Etcd")
            .field("recorder", &self.recorder)
            .finish_non_exhaustive()
    }
}

fn with<T>(it: Option<T>, then: impl FnOnce(T)) {
    if let Some(it) = it {
        then(it);
    }
}

/// A lock's key ends with the number of its lease in hexadecimal.
fn lease_of(key: &[u8]) -> Option<i64> {
    let key = std::str::from_utf8(key).ok()?;
    let (_, lease) = key.rsplit_once('/')?;
    u64::from_str_radix(lease, 16).ok().map(u64::cast_signed)
}

/// Connects a client machine to members over the world's network.
pub(crate) struct OverTheWorld {
    machine: Arc<Machine>,
    verbose: bool,
}

#[async_trait]
impl Connector for OverTheWorld {
    async fn connect(&self, endpoint: &str) -> Result<Client, Error> {
        let runtime: Arc<dyn Runtime> = Arc::new(SimRuntime::of(&self.machine));
        let dial = Dial {
            machine: self.machine.clone(),
            verbose: self.verbose,
        };
        let channel = Endpoint::from_shared(endpoint.to_owned())?
            .executor(Tasks(runtime))
            .connect_with_connector_lazy(dial);
        let options = ConnectOptions::new().with_require_leader(true);
        Client::from_channel(Channel::Tonic(channel), Some(options)).await
    }
}

/// tonic's tasks are the process's.
#[derive(Clone)]
struct Tasks(Arc<dyn Runtime>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.0.spawn(Box::pin(task));
    }
}

#[derive(Clone)]
struct Dial {
    machine: Arc<Machine>,
    verbose: bool,
}

impl Callable<Uri> for Dial {
    type Response = TokioIo<SimStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { machine, verbose } = self.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let stream = SimStream::connect(&machine, host, PORT, verbose).await?;
            Ok(TokioIo::new(stream))
        })
    }
}
