//! One server's data and commands: no I/O, and no clock of its own.

mod command;
mod connections;
mod data;
mod hashes;
mod keys;
mod lists;
mod pubsub;
mod reply;
mod scripting;
mod server;
mod session;
mod sorted_sets;
mod strings;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use data::{Entry, Keyspace, Value};
pub use pubsub::Delivery;
pub use reply::Reply;
pub use scripting::{Declared, KnownScript};
pub use session::Session;

pub(crate) use command::{Call, Flags, OUT_OF_MEMORY, READ_ONLY};
pub(crate) use reply::{general, one_line};
pub(crate) use table::find as find_command;

/// How many databases a server has.
pub const DATABASES: usize = 16;

/// What a server is at present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    #[default]
    Primary,
    /// It copies this server.
    Replica {
        /// Where its primary is, as `INFO` shows it.
        primary: String,
    },
}

/// One server: its data, its scripts, its settings.
///
/// Wall time is passed in, in µs since 1970. `Default` is an empty server with default settings.
#[derive(Debug)]
pub struct Engine {
    pub(crate) keyspaces: Vec<Keyspace>,
    pub(crate) scripts: BTreeMap<String, Arc<KnownScript>>,
    /// Keys that commands have changed, in order, perhaps repeatedly.
    pub(crate) changed: Vec<(usize, Vec<u8>)>,
    pub(crate) channels: BTreeMap<Vec<u8>, Vec<u64>>,
    pub(crate) patterns: Vec<(Vec<u8>, u64)>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) published: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) settings: BTreeMap<&'static str, String>,
    pub(crate) random: u64,
    /// Whether it takes writes.
    pub role: Role,
    /// It reads its data from disk, and answers almost nothing.
    pub loading: bool,
    /// It has no memory for more.
    pub out_of_memory: bool,
    /// Messages vanish.
    pub drops_messages: bool,
    /// 40 hex digits that change with every start.
    pub run_id: String,
    /// 40 hex digits that change with every history of writes.
    pub replication_id: String,
    /// How much it has written to that history.
    pub offset: u64,
    /// How many replicas it has, for `INFO`.
    pub replicas: usize,
    /// The port it says it has.
    pub port: u16,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            keyspaces: Vec::new(),
            scripts: BTreeMap::new(),
            changed: Vec::new(),
            channels: BTreeMap::new(),
            patterns: Vec::new(),
            deliveries: Vec::new(),
            published: Vec::new(),
            settings: BTreeMap::new(),
            random: crate::redis::lua::FIRST_RANDOM,
            role: Role::Primary,
            loading: false,
            out_of_memory: false,
            drops_messages: false,
            run_id: String::new(),
            replication_id: String::new(),
            offset: 0,
            replicas: 0,
            port: 6379,
        }
    }
}

/// What a command led to besides its reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The reply.
    Reply(Reply),
    /// `WAIT`: answer when so many replicas are up to date, or after so many ms (0: never).
    Wait {
        /// How many.
        replicas: i64,
        /// In ms; 0: without limit.
        timeout_ms: i64,
    },
}

impl Engine {
    /// An empty server with default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new connection with this number.
    pub fn connect(&self, id: u64) -> Session {
        let mut session = Session::new(id);
        session.authenticated = self.setting("requirepass").is_empty();
        session
    }

    /// Executes a command at this wall time.
    pub fn execute(&mut self, session: &mut Session, now_us: i64, words: &[Vec<u8>]) -> Outcome {
        command::execute(self, session, now_us, words)
    }

    /// Takes out what has expired. Only a primary does so: a replica is told.
    pub fn expire_due(&mut self, now_us: i64) {
        if self.role != Role::Primary {
            return;
        }
        let now_ms = now_us.div_euclid(1000);
        for (number, keyspace) in self.keyspaces.iter_mut().enumerate() {
            while let Some(key) = keyspace.first_over(now_ms) {
                keyspace.remove(&key);
                self.changed.push((number, key));
            }
        }
    }

    /// The wall time in µs from which on the next key will have expired.
    pub fn next_expiry(&self) -> Option<i64> {
        let ends = self.keyspaces.iter().filter_map(Keyspace::next_end);
        ends.min()
            .map(|until| until.saturating_add(1).saturating_mul(1000))
    }

    /// The entry of a key, expired or not.
    pub fn entry(&self, database: usize, key: &[u8]) -> Option<&Entry> {
        self.keyspaces.get(database)?.entry(key)
    }

    /// The keyspaces; those above the last were never written to.
    pub fn keyspaces(&self) -> &[Keyspace] {
        &self.keyspaces
    }

    /// All data in place of what is there, as after a full resynchronization or from disk.
    pub fn replace_data(&mut self, keyspaces: Vec<Keyspace>) {
        self.keyspaces = keyspaces;
        self.changed.clear();
    }

    /// Puts or removes an entry, as replication does.
    pub fn install(&mut self, database: usize, key: &[u8], entry: Option<Entry>) {
        match entry {
            Some(entry) => self.keyspace(database).put(key.to_vec(), entry),
            None => {
                self.keyspace(database).remove(key);
            }
        }
    }

    /// Deletes a key, as an operator or an eviction does. Whether it was there.
    pub fn delete(&mut self, database: usize, key: &[u8]) -> bool {
        let was_there = self.keyspace(database).remove(key).is_some();
        if was_there {
            self.changed.push((database, key.to_vec()));
        }
        was_there
    }

    /// The keys changed since the last call, each once, in the order of the first change.
    pub fn take_changed(&mut self) -> Vec<(usize, Vec<u8>)> {
        let mut changed = std::mem::take(&mut self.changed);
        if changed.len() > 1 {
            let mut seen = BTreeSet::new();
            changed.retain(|change| seen.insert(change.clone()));
        }
        changed
    }

    /// Messages for this server's clients since the last call.
    pub fn take_deliveries(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }

    /// What was published since the last call: channel and payload.
    pub fn take_published(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        std::mem::take(&mut self.published)
    }

    /// Forgets all scripts.
    pub fn flush_scripts(&mut self) {
        self.scripts.clear();
    }

    pub(crate) fn keyspace(&mut self, database: usize) -> &mut Keyspace {
        if self.keyspaces.len() <= database {
            self.keyspaces.resize_with(database + 1, Keyspace::default);
        }
        &mut self.keyspaces[database]
    }
}
