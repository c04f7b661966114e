use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use super::Garbage;
use crate::redis::engine::{Engine, Entry, Keyspace, Session};
use crate::world::WallClock;

/// One server of a topology.
pub(super) struct Node {
    pub name: String,
    pub engine: Engine,
    pub clock: WallClock,
    pub connections: BTreeMap<u64, Connection>,
    pub starts: u32,
    pub crashed: bool,
    pub frozen: bool,
    pub loading_until_ns: Option<u64>,
    pub slow_ns: u64,
    pub garbage: Option<Garbage>,
    /// Whom it copies.
    pub follows: Option<usize>,
    pub link: Link,
    /// An old primary that becomes a replica as soon as it can be reached.
    pub rejoins: bool,
    /// What it has written as a primary, for its replicas.
    pub log: Vec<Logged>,
    pub disk: Disk,
}

/// A replica's end of replication.
#[derive(Default)]
pub(super) struct Link {
    pub cut: bool,
    pub lag_ns: u64,
    /// How much of the primary's log it has.
    pub position: usize,
    /// It needs all of the primary's data.
    pub resync: bool,
}

/// The effects of one command.
#[derive(Default)]
pub(super) struct Batch {
    /// Database, key, and what is there now.
    pub changes: Vec<(usize, Vec<u8>, Option<Entry>)>,
    pub published: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a primary did, for its replicas.
#[derive(Clone)]
pub(super) struct Logged {
    pub at_ns: u64,
    /// The event of the request that did it.
    pub cause: Option<u64>,
    pub batch: Arc<Batch>,
}

/// What survives a loss of power: everything up to the last whole second.
#[derive(Default)]
pub(super) struct Disk {
    pub base: Vec<Keyspace>,
    pub later: VecDeque<(u64, Arc<Batch>)>,
}

/// As often as the disk is forced.
const FSYNC_NS: u64 = 1_000_000_000;

/// More than so many are worth a look at which of them are on disk.
const MANY: usize = 1024;

impl Disk {
    pub fn write(&mut self, now_ns: u64, batch: Arc<Batch>) {
        self.later.push_back((now_ns, batch));
        if self.later.len() > MANY {
            self.force(now_ns);
        }
    }

    /// All of it at once, as after a full copy.
    pub fn replace(&mut self, keyspaces: Vec<Keyspace>) {
        self.base = keyspaces;
        self.later.clear();
    }

    /// What is there after a loss of power now.
    pub fn after_power_loss(&mut self, now_ns: u64) -> Vec<Keyspace> {
        self.force(now_ns);
        self.later.clear();
        self.base.clone()
    }

    fn force(&mut self, now_ns: u64) {
        let forced = now_ns - now_ns % FSYNC_NS;
        while let Some((at_ns, _)) = self.later.front()
            && *at_ns <= forced
            && let Some((_, batch)) = self.later.pop_front()
        {
            for (database, key, entry) in &batch.changes {
                if self.base.len() <= *database {
                    self.base.resize_with(database + 1, Keyspace::default);
                }
                match entry {
                    Some(entry) => self.base[*database].put(key.clone(), entry.clone()),
                    None => drop(self.base[*database].remove(key)),
                }
            }
        }
    }
}

/// A connection of a client.
pub(super) struct Connection {
    pub session: Session,
    pub peer: String,
    /// Bytes, and from when on they may leave.
    pub outbox: VecDeque<(u64, Vec<u8>)>,
    pub killed: bool,
    /// Something between holds back what the client says.
    pub stuck: bool,
    pub waker: Option<Waker>,
    pub waiting: Option<Waiting>,
}

/// `WAIT` that is not answered yet.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    pub replicas: i64,
    pub position: usize,
    pub until_ns: Option<u64>,
}

impl Node {
    pub fn new(name: String) -> Self {
        let mut node = Self {
            name,
            engine: Engine::new(),
            clock: WallClock::right(),
            connections: BTreeMap::new(),
            starts: 0,
            crashed: false,
            frozen: false,
            loading_until_ns: None,
            slow_ns: 0,
            garbage: None,
            follows: None,
            link: Link::default(),
            rejoins: false,
            log: Vec::new(),
            disk: Disk::default(),
        };
        node.start();
        node
    }

    /// A new process: new identity, nothing but its data.
    pub fn start(&mut self) {
        self.starts += 1;
        let identity = |what: &str| {
            let text = format!("{what} {} {}", self.name, self.starts);
            sha1_smol::Sha1::from(text).digest().to_string()
        };
        self.engine.run_id = identity("run");
        self.engine.replication_id = identity("history");
        self.engine.flush_scripts();
    }

    /// It executes and sends.
    pub fn runs(&self) -> bool {
        !self.crashed && !self.frozen
    }

    /// It has its data, and can give or take it.
    pub fn replicates(&self) -> bool {
        self.runs() && self.loading_until_ns.is_none()
    }

    pub fn now_us(&self, now_ns: u64) -> i64 {
        self.clock.at(now_ns)
    }

    /// The effects since the last call, as the server's log has them.
    pub fn take_batch(&mut self) -> Option<Arc<Batch>> {
        let changed = self.engine.take_changed();
        let published = self.engine.take_published();
        if changed.is_empty() && published.is_empty() {
            return None;
        }
        let changes = changed.into_iter().map(|(database, key)| {
            let entry = self.engine.entry(database, &key).cloned();
            (database, key, entry)
        });
        Some(Arc::new(Batch {
            changes: changes.collect(),
            published,
        }))
    }

    /// Applies what the primary did.
    pub fn apply(&mut self, now_ns: u64, batch: &Arc<Batch>) {
        for (database, key, entry) in &batch.changes {
            self.engine.install(*database, key, entry.clone());
        }
        for (channel, payload) in &batch.published {
            self.engine.deliver(channel, payload);
        }
        self.disk.write(now_ns, batch.clone());
        self.engine.offset += 1;
    }

    /// Puts the messages that are under way into the outboxes. Returns whom to wake.
    pub fn hand_out(&mut self, now_ns: u64) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for delivery in self.engine.take_deliveries() {
            if let Some(connection) = self.connections.get_mut(&delivery.client) {
                let mut bytes = Vec::new();
                let protocol = connection.session.protocol;
                delivery.message.write(protocol, &mut bytes);
                connection.outbox.push_back((now_ns + self.slow_ns, bytes));
                wakers.extend(connection.waker.take());
            }
        }
        wakers
    }

    /// Breaks all connections. Returns whom to wake.
    pub fn kill_connections(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for connection in self.connections.values_mut() {
            connection.killed = true;
            wakers.extend(connection.waker.take());
        }
        wakers
    }

    pub fn wake_all(&mut self) -> Vec<Waker> {
        let connections = self.connections.values_mut();
        connections
            .filter_map(|connection| connection.waker.take())
            .collect()
    }
}
