use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dlock_core::runtime::{Runtime, Task};
use dlock_core::store::{Capabilities, LockStore};
use dlock_redis::redis::aio::MultiplexedConnection;
use dlock_redis::redis::{
    AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisResult,
};
use dlock_redis::{Connected, Connector, RedisStore, Wakeups};

use crate::faults::{Disk, FaultKind, Garbage, OldPrimary};
use crate::redis::{self, Topology, TopologySettings, serve};
use crate::service::{Phase, Service, SimStore};
use crate::trace::Role;
use crate::world::{Listener, Machine, SimRuntime, SimStream, World};

const PORT: u16 = 6379;

/// How long a restarted server loads its data.
const LOADING: Duration = Duration::from_millis(100);

/// Redis, with the real `dlock-redis` over the real `redis` crate.
#[derive(Clone, Debug)]
pub struct SimRedis {
    name: &'static str,
    servers: usize,
}

impl SimRedis {
    /// One server, `redis-1`.
    pub fn single() -> Self {
        Self {
            name: "redis",
            servers: 1,
        }
    }

    /// A primary, `redis-1`, and a replica, `redis-2`. Clients find out who is the primary whenever they connect, as
    /// with Sentinel.
    pub fn primary_with_replica() -> Self {
        Self {
            name: "redis-replica",
            servers: 2,
        }
    }
}

impl SimStore for SimRedis {
    fn name(&self) -> &str {
        self.name
    }

    fn servers(&self) -> Vec<String> {
        (1..=self.servers)
            .map(|number| format!("redis-{number}"))
            .collect()
    }

    fn capabilities(&self) -> Capabilities {
        // What it declares depends on nothing but that it is pushed to.
        let store = RedisStore::builder().connector(Nowhere).lazy();
        store.map_or_else(
            |_| Capabilities::plain("redis"),
            |store| store.capabilities(),
        )
    }

    fn found(&self, world: &mut World, verbose: bool) -> Arc<dyn Service> {
        Arc::new(self.found_servers(world, verbose))
    }
}

impl SimRedis {
    pub(crate) fn found_servers(&self, world: &mut World, verbose: bool) -> Servers {
        let names = self.servers();
        let shown: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut settings = TopologySettings::replicated("redis", &shown);
        settings.requests = verbose;
        // Servers share their state, and take turns within a step: for what they share, time must not go back.
        let recorder = world.recorder().never_going_back();
        let topology = Topology::new(settings, recorder);
        for (node, name) in names.iter().enumerate() {
            let machine = world.machine(name, Role::Server);
            let (topology, host) = (topology.clone(), machine.clone());
            world.run(&machine, move || {
                listen(topology.clone(), node, host.clone())
            });
        }
        Servers {
            topology,
            names,
            verbose,
            way: Arc::default(),
        }
    }
}

async fn listen(topology: Topology, node: usize, machine: Arc<Machine>) {
    let Ok(listener) = Listener::bind(PORT).await else {
        return;
    };
    let runtime: Arc<dyn Runtime> = Arc::new(SimRuntime::of(&machine));
    while let Ok((stream, peer)) = listener.accept().await {
        let serving = serve(topology.clone(), node, stream, peer, runtime.clone());
        runtime.spawn(Box::pin(serving));
    }
}

/// Redis's servers in a world.
pub(crate) struct Servers {
    topology: Topology,
    names: Vec<String>,
    verbose: bool,
    way: Arc<Mutex<Way>>,
}

/// How clients find the primary.
#[derive(Debug, Default)]
struct Way {
    /// The primary that clients with odd numbers still believe in.
    old_for_some: Option<usize>,
    /// By the replica that was promoted: who died.
    dead: BTreeMap<String, usize>,
}

impl Service for Servers {
    fn connect(&self, machine: &Arc<Machine>) -> Arc<dyn LockStore> {
        let store = RedisStore::builder()
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
        let servers = &self.topology;
        match fault {
            FaultKind::Freeze { node } => with(servers.node(node), |node| servers.freeze(node, on)),
            FaultKind::Slow { node, ms } => with(servers.node(node), |node| {
                servers.slow(node, Duration::from_millis(if on { *ms } else { 0 }));
            }),
            FaultKind::Restart { node, disk } => with(servers.node(node), |node| {
                if on {
                    servers.crash(node);
                } else {
                    servers.restart(node, (*disk).into(), LOADING);
                }
            }),
            FaultKind::ClockStep { node, by_ms } if on => {
                with(servers.node(node), |node| {
                    servers.step_clock(node, by_ms * 1000)
                });
            }
            FaultKind::CutConnections { node } if on => {
                with(servers.node(node), |node| servers.kill_connections(node));
            }
            FaultKind::StuckConnections { client, server } => with(servers.node(server), |node| {
                servers.stick_connections(node, client, on);
            }),
            FaultKind::DeleteLock { name } if on => servers.delete_key(&format!("lock:{name}")),
            FaultKind::ReplicationLag { node, ms } => with(servers.node(node), |node| {
                let lag = if on { *ms } else { 0 };
                servers.set_replication_lag(node, Duration::from_millis(lag));
            }),
            FaultKind::Failover { to, old } => {
                with(servers.node(to), |node| self.fail_over(to, node, *old, on));
            }
            FaultKind::FlushAll if on => servers.flush_all(),
            FaultKind::Evict if on => servers.evict(""),
            FaultKind::OutOfMemory => servers.set_oom(on),
            FaultKind::ScriptFlush if on => servers.script_flush(),
            FaultKind::DropPublished => servers.drop_pubsub(on),
            FaultKind::Garble { node, answers } => with(servers.node(node), |node| {
                servers.garble(node, on.then(|| (*answers).into()));
            }),
            _ => {}
        }
    }

    fn dies_with(&self, fault: &FaultKind) -> Option<String> {
        let FaultKind::Failover {
            to,
            old: OldPrimary::Dies,
        } = fault
        else {
            return None;
        };
        let dies = self.topology.primary();
        if self.topology.is_down(dies) || self.names[dies] == *to {
            return None;
        }
        self.way().dead.insert(to.clone(), dies);
        Some(self.names[dies].clone())
    }

    fn comes_back_after(&self, fault: &FaultKind) -> Option<String> {
        let FaultKind::Failover { to, .. } = fault else {
            return None;
        };
        let dead = self.way().dead.remove(to)?;
        self.topology.restart(dead, redis::Disk::Kept, LOADING);
        Some(self.names[dead].clone())
    }

    fn stepped(&self) {
        self.topology.settle();
    }
}

impl Servers {
    /// A client machine's way to the primary.
    pub(crate) fn connector(&self, machine: &Arc<Machine>) -> OverTheWorld {
        OverTheWorld {
            machine: machine.clone(),
            topology: self.topology.clone(),
            names: self.names.clone(),
            way: self.way.clone(),
            verbose: self.verbose,
        }
    }

    fn fail_over(&self, to: &str, node: usize, old: OldPrimary, begins: bool) {
        let before = self.topology.primary();
        match (old, begins) {
            (OldPrimary::Dies, true) => {
                let dead = self.way().dead.get(to).copied();
                with(dead, |dead| {
                    self.topology.crash(dead);
                    self.topology.promote(node, redis::OldPrimary::Rejoins);
                });
            }
            (OldPrimary::Demoted, true) => {
                self.topology.promote(node, redis::OldPrimary::Rejoins);
            }
            (OldPrimary::StaysForSome, true) if before != node => {
                self.topology
                    .promote(node, redis::OldPrimary::StaysWritable);
                self.way().old_for_some = Some(before);
                // Everybody asks anew where the primary is, and not all are told the same.
                self.topology.kill_connections(before);
            }
            (OldPrimary::StaysForSome, false) => {
                let old = self.way().old_for_some.take();
                with(old, |old| self.topology.demote(old));
            }
            _ => {}
        }
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Disk> for redis::Disk {
    fn from(disk: Disk) -> Self {
        match disk {
            Disk::Kept => Self::Kept,
            Disk::LastSecondLost => Self::LastFsync,
            Disk::Lost => Self::Lost,
        }
    }
}

impl From<Garbage> for redis::Garbage {
    fn from(garbage: Garbage) -> Self {
        match garbage {
            Garbage::WrongType => Self::WrongType,
            Garbage::AbsurdNumber => Self::AbsurdNumber,
            Garbage::CutShort => Self::CutShort,
        }
    }
}

fn with<T>(it: Option<T>, then: impl FnOnce(T)) {
    if let Some(it) = it {
        then(it);
    }
}

/// Connects a client machine to the primary over the world's network.
pub(crate) struct OverTheWorld {
    machine: Arc<Machine>,
    topology: Topology,
    names: Vec<String>,
    way: Arc<Mutex<Way>>,
    verbose: bool,
}

impl OverTheWorld {
    fn primary(&self) -> &str {
        let way = self.way.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.machine.name().trim_start_matches('c').parse::<u64>();
        let is_odd = number.is_ok_and(|number| number % 2 == 1);
        let node = match way.old_for_some {
            Some(old) if is_odd => old,
            _ => self.topology.primary(),
        };
        &self.names[node]
    }

    pub(crate) async fn open(
        &self,
        protocol: ProtocolVersion,
        config: AsyncConnectionConfig,
    ) -> RedisResult<Connected> {
        let primary = self.primary().to_owned();
        let stream = SimStream::connect(&self.machine, &primary, PORT, self.verbose).await?;
        over(stream, protocol, config).await
    }
}

async fn over(
    stream: SimStream,
    protocol: ProtocolVersion,
    config: AsyncConnectionConfig,
) -> RedisResult<Connected> {
    let info = RedisConnectionInfo::default().set_protocol(protocol);
    let config = config
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let (connection, driver) =
        MultiplexedConnection::new_with_config(&info, stream, config).await?;
    let driver: Task = Box::pin(driver);
    Ok(Connected {
        connection,
        driver: Some(driver),
    })
}

#[async_trait]
impl Connector for OverTheWorld {
    async fn connect(&self) -> RedisResult<Connected> {
        self.open(ProtocolVersion::RESP2, AsyncConnectionConfig::new())
            .await
    }

    fn pushes(&self) -> bool {
        true
    }

    async fn connect_for_wakeups(&self, wakeups: Wakeups) -> RedisResult<Connected> {
        let config = AsyncConnectionConfig::new().set_push_sender(wakeups);
        self.open(ProtocolVersion::RESP3, config).await
    }

    fn address(&self) -> String {
        format!("{}:{PORT}", self.primary())
    }
}

/// Connects a client machine to one server, whatever that is.
#[cfg(feature = "etcd")]
pub(crate) struct Direct {
    pub machine: Arc<Machine>,
    pub server: String,
    pub verbose: bool,
}

#[cfg(feature = "etcd")]
#[async_trait]
impl Connector for Direct {
    async fn connect(&self) -> RedisResult<Connected> {
        let stream = SimStream::connect(&self.machine, &self.server, PORT, self.verbose).await?;
        over(stream, ProtocolVersion::RESP2, AsyncConnectionConfig::new()).await
    }
}

/// Only to ask a store what it declares.
struct Nowhere;

#[async_trait]
impl Connector for Nowhere {
    async fn connect(&self) -> RedisResult<Connected> {
        Err(io::Error::from(io::ErrorKind::NotConnected).into())
    }

    fn pushes(&self) -> bool {
        true
    }
}
