//! A primary and its replicas: replication, failover, crashes, and what the truth is meanwhile.

mod controls;
mod node;
mod truth;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use super::engine::{Entry, Outcome, Reply, Role};
use crate::trace::{AuthorityEnd, Kind, Recorder};
use node::{Connection, Logged, Node, Waiting};
use truth::{Because, Seen, Side, Truth};

pub use controls::{Disk, Garbage, OldPrimary};

/// What a topology is made of.
#[derive(Clone, Debug)]
pub struct TopologySettings {
    /// The node of authority events: the service as a whole, whichever server is the primary.
    pub service: String,
    /// The servers; the first begins as the primary, the others as its replicas.
    pub nodes: Vec<String>,
    /// What stands before a lock's name in its key.
    pub prefix: String,
    /// Whether each request is written to the trace.
    pub requests: bool,
}

impl TopologySettings {
    /// One server, which is the service.
    pub fn single(name: &str) -> Self {
        Self::replicated(name, &[name])
    }

    /// A service of several servers.
    pub fn replicated(service: &str, nodes: &[&str]) -> Self {
        Self {
            service: service.to_owned(),
            nodes: nodes.iter().map(|&name| name.to_owned()).collect(),
            prefix: "lock:".to_owned(),
            requests: false,
        }
    }
}

/// Simulated Redis servers that belong together. Cheap to clone; clones are the same servers.
///
/// Servers are numbered as in [`TopologySettings::nodes`]. Everything happens inside the calls, at
/// the recorder's true time.
#[derive(Clone)]
pub struct Topology {
    state: Arc<Mutex<State>>,
    recorder: Recorder,
}

pub(super) struct State {
    settings: TopologySettings,
    nodes: Vec<Node>,
    /// The primary of the newest epoch.
    primary: usize,
    truth: Truth,
    clients: u64,
    /// Tasks to wake when the lock is let go.
    wakers: Vec<Waker>,
}

impl Topology {
    /// Servers without data.
    pub fn new(settings: TopologySettings, recorder: Recorder) -> Self {
        let mut nodes: Vec<Node> = settings.nodes.iter().cloned().map(Node::new).collect();
        let primary = settings.nodes.first().cloned().unwrap_or_default();
        for node in nodes.iter_mut().skip(1) {
            node.follows = Some(0);
            node.engine.role = Role::Replica {
                primary: primary.clone(),
            };
        }
        let state = State {
            truth: Truth::new(&settings.prefix),
            settings,
            nodes,
            primary: 0,
            clients: 0,
            wakers: Vec::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            recorder,
        }
    }

    /// The number of the server with this name.
    pub fn node(&self, name: &str) -> Option<usize> {
        let state = self.lock();
        state.nodes.iter().position(|node| node.name == name)
    }

    /// The primary of the newest epoch.
    pub fn primary(&self) -> usize {
        self.lock().primary
    }

    /// Whether a server is down.
    pub fn is_down(&self, node: usize) -> bool {
        self.with(|state, _| state.nodes[node].crashed)
    }

    /// Does all that is due by now: expiries, replication. At the end of a run, so that the trace has
    /// what nobody was there to notice.
    pub fn settle(&self) {
        self.with(|_, _| ());
    }

    /// What a server has under a key of database 0, expired or not.
    pub fn entry(&self, node: usize, key: &[u8]) -> Option<Entry> {
        self.with(|state, _| state.nodes[node].engine.entry(0, key).cloned())
    }

    /// A new connection of this peer; nothing if the server is down.
    pub(super) fn open(&self, node: usize, peer: &str) -> Option<u64> {
        self.with(|state, _| {
            if state.nodes.get(node)?.crashed {
                return None;
            }
            state.clients += 1;
            let connection = Connection {
                session: state.nodes[node].engine.connect(state.clients),
                peer: peer.to_owned(),
                outbox: Default::default(),
                killed: false,
                stuck: false,
                waker: None,
                waiting: None,
            };
            state.nodes[node]
                .connections
                .insert(state.clients, connection);
            Some(state.clients)
        })
    }

    pub(super) fn close(&self, node: usize, client: u64) {
        self.with(|state, _| {
            let node = &mut state.nodes[node];
            if let Some(mut connection) = node.connections.remove(&client) {
                node.engine.forget(&mut connection.session);
            }
        });
    }

    /// One look at a connection: what the server will do with it now.
    pub(super) fn attend(&self, node: usize, client: u64, context: &Context<'_>) -> Attention {
        self.with(|state, now_ns| {
            state.answer_waiting(node, client, now_ns);
            let due_ns = state.next_batch(node);
            let server = &mut state.nodes[node];
            let frozen = server.frozen;
            let Some(connection) = server.connections.get_mut(&client) else {
                return Attention::default();
            };
            connection.waker = Some(context.waker().clone());
            let mut attention = Attention {
                alive: !connection.killed,
                executes: !frozen && !connection.stuck && connection.waiting.is_none(),
                closing: connection.session.closing,
                ..Attention::default()
            };
            if !frozen {
                while let Some((ready_ns, _)) = connection.outbox.front() {
                    if *ready_ns > now_ns {
                        attention.look_in(ready_ns - now_ns);
                        break;
                    }
                    if let Some((_, bytes)) = connection.outbox.pop_front() {
                        attention.bytes.extend(bytes);
                    }
                }
                if let Some(waiting) = &connection.waiting {
                    // Whether the replicas have caught up is looked at every millisecond.
                    let left = waiting.until_ns.map_or(u64::MAX, |until| until - now_ns);
                    attention.look_in(left.min(1_000_000));
                }
            }
            if let Some(due_ns) = due_ns
                && connection.session.subscriptions() > 0
            {
                attention.look_in(due_ns.saturating_sub(now_ns).max(1));
            }
            attention.drained = connection.outbox.is_empty();
            attention
        })
    }

    /// Executes a command of a client.
    pub(super) fn request(&self, node: usize, client: u64, words: &[Vec<u8>]) {
        self.with(|state, now_ns| state.request(&self.recorder, node, client, words, now_ns));
    }

    /// Answers what is no request, and closes.
    pub(super) fn refuse(&self, node: usize, client: u64, text: &'static str) {
        self.with(|state, now_ns| {
            let node = &mut state.nodes[node];
            if let Some(connection) = node.connections.get_mut(&client) {
                connection.session.closing = true;
                let protocol = connection.session.protocol;
                let mut bytes = Vec::new();
                Reply::error(text).write(protocol, &mut bytes);
                connection.outbox.push_back((now_ns + node.slow_ns, bytes));
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut State, u64) -> T) -> T {
        let now_ns = self.recorder.now_ns();
        let mut state = self.lock();
        state.settle(&self.recorder, now_ns);
        let outcome = act(&mut state, now_ns);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        for waker in wakers {
            waker.wake();
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Topology")
            .field("settings", &state.settings)
            .field("primary", &state.primary)
            .finish_non_exhaustive()
    }
}

/// What a connection's task is to do.
#[derive(Debug, Default)]
pub(super) struct Attention {
    /// Nobody has broken it.
    pub alive: bool,
    /// The server takes the next command.
    pub executes: bool,
    /// It ends when everything is written.
    pub closing: bool,
    /// To be written now.
    pub bytes: Vec<u8>,
    /// Nothing is left to be written later.
    pub drained: bool,
    /// Look again after so long.
    pub wait_ns: Option<u64>,
}

impl Attention {
    fn look_in(&mut self, wait_ns: u64) {
        self.wait_ns = Some(self.wait_ns.map_or(wait_ns, |other| other.min(wait_ns)));
    }
}

impl State {
    /// When a replica has what its primary did next; nothing if it cannot get it now.
    fn next_batch(&self, index: usize) -> Option<u64> {
        let node = &self.nodes[index];
        let leader = &self.nodes[node.follows?];
        let connected = |node: &Node| node.replicates() && !node.link.cut;
        if node.link.resync || !connected(node) || !connected(leader) {
            return None;
        }
        let at_ns = leader.log.get(node.link.position)?.at_ns;
        Some(at_ns + node.link.lag_ns)
    }

    /// Does all that is due.
    fn settle(&mut self, recorder: &Recorder, now_ns: u64) {
        let (service, nodes) = (&self.settings.service, &self.nodes);
        self.truth.expire(recorder, now_ns, |side| match side {
            Side::Service => service.clone(),
            Side::Old(node) => nodes[node].name.clone(),
        });
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            if node.loading_until_ns.is_some_and(|until| until <= now_ns) {
                node.loading_until_ns = None;
                node.engine.loading = false;
            }
            if node.rejoins && node.runs() && !node.link.cut {
                self.demote(recorder, now_ns, index);
            }
            let node = &mut self.nodes[index];
            if node.runs() && node.engine.role == Role::Primary {
                node.engine.expire_due(node.clock.at(now_ns));
                self.commit(index, now_ns, None);
            }
        }
        for index in 0..self.nodes.len() {
            self.replicate(recorder, index, now_ns);
        }
    }

    /// Puts what a server has just done into its log, with the event of the request. Whether it did anything.
    fn commit(&mut self, index: usize, now_ns: u64, cause: Option<u64>) -> bool {
        let replicated = self.nodes.len() > 1;
        let node = &mut self.nodes[index];
        let Some(batch) = node.take_batch() else {
            return false;
        };
        node.engine.offset += 1;
        let published = !batch.published.is_empty();
        if replicated {
            node.log.push(Logged {
                at_ns: now_ns,
                cause,
                batch: batch.clone(),
            });
        }
        node.disk.write(now_ns, batch);
        if replicated && published {
            // Whoever listens to a replica is to look when the message is there.
            for follower in &mut self.nodes {
                if follower.follows == Some(index) {
                    self.wakers.extend(follower.wake_all());
                }
            }
        }
        true
    }

    /// Brings a replica as far as it can be.
    fn replicate(&mut self, recorder: &Recorder, index: usize, now_ns: u64) {
        let Some(primary) = self.nodes[index].follows else {
            return;
        };
        let connected = |node: &Node| node.replicates() && !node.link.cut;
        if !connected(&self.nodes[index]) || !connected(&self.nodes[primary]) {
            return;
        }
        if self.nodes[index].link.resync {
            let leader = &self.nodes[primary];
            let keyspaces = leader.engine.keyspaces().to_vec();
            let position = leader.log.len();
            let (history, offset) = (leader.engine.replication_id.clone(), leader.engine.offset);
            let node = &mut self.nodes[index];
            node.disk.replace(keyspaces.clone());
            node.engine.replace_data(keyspaces);
            node.engine.replication_id = history;
            node.engine.offset = offset;
            node.link.position = position;
            node.link.resync = false;
            return;
        }
        loop {
            let (leader, node) = (&self.nodes[primary], &self.nodes[index]);
            let Some(logged) = leader.log.get(node.link.position) else {
                break;
            };
            if logged.at_ns + node.link.lag_ns > now_ns {
                break;
            }
            let logged = logged.clone();
            let peer = self.settings.requests.then(|| leader.name.clone());
            let node = &mut self.nodes[index];
            node.apply(now_ns, &logged.batch);
            node.link.position += 1;
            // What no request did, time did: nobody asks where that went.
            if let (Some(peer), Some(_)) = (peer, logged.cause) {
                let what = "replicated".to_owned();
                let kind = Kind::Server {
                    what,
                    peer: Some(peer),
                };
                recorder.record_at(now_ns, &node.name, logged.cause, kind);
            }
        }
        let wakers = self.nodes[index].hand_out(now_ns);
        self.wakers.extend(wakers);
    }

    fn request(
        &mut self,
        recorder: &Recorder,
        index: usize,
        client: u64,
        words: &[Vec<u8>],
        now_ns: u64,
    ) {
        let followers = self.followers(index);
        let node = &mut self.nodes[index];
        node.engine.replicas = followers;
        let Some(mut connection) = node.connections.remove(&client) else {
            return;
        };
        let mut cause = None;
        if self.settings.requests {
            let kind = Kind::Server {
                what: describe(words),
                peer: Some(connection.peer.clone()),
            };
            cause = Some(recorder.record_at(now_ns, &node.name, None, kind));
        }
        let now_us = node.now_us(now_ns);
        let outcome = node.engine.execute(&mut connection.session, now_us, words);
        let changed: Vec<Vec<u8>> = node
            .engine
            .changed
            .iter()
            .filter(|(database, _)| *database == 0)
            .map(|(_, key)| key.clone())
            .collect();
        let because = Because {
            by: Some(&connection.peer),
            end: match words.first() {
                Some(word) if word.len() >= 5 && word[..5].eq_ignore_ascii_case(b"flush") => {
                    AuthorityEnd::Dropped
                }
                _ => AuthorityEnd::Removed,
            },
        };
        self.look(recorder, now_ns, index, &changed, because);
        if self.commit(index, now_ns, cause) {
            connection.session.written_to = self.nodes[index].log.len() as u64;
        }
        let node = &mut self.nodes[index];
        match outcome {
            Outcome::Reply(reply) => {
                // What it has published to itself comes first.
                node.connections.insert(client, connection);
                self.wakers.extend(node.hand_out(now_ns));
                if let Some(connection) = node.connections.get_mut(&client) {
                    let mut bytes = Vec::new();
                    reply.write(connection.session.protocol, &mut bytes);
                    if let Some(garbage) = node.garbage {
                        garbage.spoil(&mut bytes);
                        connection.session.closing |= garbage == Garbage::CutShort;
                    }
                    connection.outbox.push_back((now_ns + node.slow_ns, bytes));
                }
            }
            Outcome::Wait {
                replicas,
                timeout_ms,
            } => {
                let timeout_ns = u64::try_from(timeout_ms).unwrap_or(0) * 1_000_000;
                connection.waiting = Some(Waiting {
                    replicas,
                    position: connection.session.written_to as usize,
                    until_ns: (timeout_ns > 0).then(|| now_ns + timeout_ns),
                });
                node.connections.insert(client, connection);
                self.answer_waiting(index, client, now_ns);
            }
        }
    }

    fn followers(&self, index: usize) -> usize {
        let nodes = self.nodes.iter();
        nodes.filter(|node| node.follows == Some(index)).count()
    }

    /// Answers a `WAIT`, if it is time.
    fn answer_waiting(&mut self, index: usize, client: u64, now_ns: u64) {
        let Some(waiting) = self.nodes[index]
            .connections
            .get(&client)
            .and_then(|connection| connection.waiting)
        else {
            return;
        };
        let caught_up = self.nodes.iter().filter(|node| {
            node.follows == Some(index)
                && !node.link.resync
                && node.link.position >= waiting.position
        });
        let caught_up = caught_up.count() as i64;
        let over = waiting.until_ns.is_some_and(|until| until <= now_ns);
        if caught_up < waiting.replicas && !over {
            return;
        }
        let node = &mut self.nodes[index];
        if let Some(connection) = node.connections.get_mut(&client) {
            connection.waiting = None;
            let mut bytes = Vec::new();
            Reply::Integer(caught_up).write(connection.session.protocol, &mut bytes);
            connection.outbox.push_back((now_ns + node.slow_ns, bytes));
        }
    }

    /// As whom a server speaks: nothing for replicas, and for those that become one before they can
    /// say anything.
    fn side(&self, index: usize) -> Option<Side> {
        let node = &self.nodes[index];
        if index == self.primary {
            Some(Side::Service)
        } else if node.engine.role != Role::Primary || node.crashed {
            None
        } else {
            let gone = node.rejoins && !node.link.cut;
            (!gone).then_some(Side::Old(index))
        }
    }

    /// What the truth is after a change of these keys.
    fn look(
        &mut self,
        recorder: &Recorder,
        now_ns: u64,
        index: usize,
        keys: &[Vec<u8>],
        because: Because<'_>,
    ) {
        if let Some(side) = self.side(index) {
            let node = &self.nodes[index];
            let seen = seen(&self.settings, node, side);
            for key in keys {
                self.truth.look(recorder, now_ns, &seen, key, because);
            }
        }
    }

    /// What the truth is after a change of who knows what.
    fn look_at_all(&mut self, recorder: &Recorder, now_ns: u64, index: usize, end: AuthorityEnd) {
        if let Some(side) = self.side(index) {
            let node = &self.nodes[index];
            let seen = seen(&self.settings, node, side);
            let because = Because { by: None, end };
            self.truth.look_at_all(recorder, now_ns, &seen, because);
        }
    }
}

fn seen<'a>(settings: &'a TopologySettings, node: &'a Node, side: Side) -> Seen<'a> {
    Seen {
        side,
        name: match side {
            Side::Service => &settings.service,
            Side::Old(_) => &node.name,
        },
        engine: &node.engine,
        clock: node.clock,
    }
}

/// A request in a few words: no keys, no values.
fn describe(words: &[Vec<u8>]) -> String {
    let word = |index: usize| words.get(index).map_or(&[][..], Vec::as_slice);
    let name = String::from_utf8_lossy(word(0)).to_ascii_uppercase();
    match name.as_str() {
        "EVALSHA" => {
            let sha = word(1);
            format!(
                "EVALSHA {}",
                String::from_utf8_lossy(&sha[..sha.len().min(8)])
            )
        }
        "EVAL" => {
            let sha = crate::redis::lua::hash(word(1));
            format!("EVAL {}", &sha[..8])
        }
        "CLIENT" | "CONFIG" | "SCRIPT" => {
            let second = String::from_utf8_lossy(word(1)).to_ascii_uppercase();
            format!("{name} {second}")
        }
        _ => name,
    }
}
