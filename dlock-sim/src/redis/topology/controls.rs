//! What faults do to the servers. Each takes effect at once, at the present true time.

use std::time::Duration;

use super::{Role, Side, State, Topology};
use crate::redis::engine::DATABASES;
use crate::trace::{AuthorityEnd, Kind, Recorder};

/// What a server finds on its disk when it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// Everything: only the process died.
    Kept,
    /// Nothing.
    Lost,
    /// What was there at the last whole second (`appendfsync everysec`): the power failed.
    LastFsync,
}

/// What becomes of the primary when another server is promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldPrimary {
    /// It becomes a replica, and loses its data for the new primary's, as soon as it runs and its
    /// replication is not cut.
    Rejoins,
    /// It goes on as if nothing had happened, until [`Topology::demote`].
    StaysWritable,
}

/// What a server answers instead of what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbage {
    /// Another type.
    WrongType,
    /// A number that no program can hold.
    AbsurdNumber,
    /// The beginning of the answer; then it closes.
    CutShort,
}

impl Garbage {
    pub(super) fn spoil(self, answer: &mut Vec<u8>) {
        match self {
            Self::WrongType => *answer = b"$7\r\nnonsens\r\n".to_vec(),
            Self::AbsurdNumber => *answer = b":99999999999999999999999\r\n".to_vec(),
            Self::CutShort => answer.truncate(answer.len() / 2),
        }
    }
}

impl Topology {
    /// How much later a replica has what its primary did.
    pub fn set_replication_lag(&self, node: usize, lag: Duration) {
        self.with(|state, _| state.nodes[node].link.lag_ns = nanos(lag));
    }

    /// Cuts a server off from the others (not from clients), or connects it again.
    pub fn cut_replication(&self, node: usize, cut: bool) {
        self.with(|state, _| state.nodes[node].link.cut = cut);
        self.settle();
    }

    /// Makes a server the primary, with the data it has: a new epoch. The others follow it.
    pub fn promote(&self, node: usize, old: OldPrimary) {
        self.with(|state, now_ns| state.promote(&self.recorder, now_ns, node, old));
        self.settle();
    }

    /// Makes a server a replica of the present primary: it loses its data for that one's.
    pub fn demote(&self, node: usize) {
        self.with(|state, now_ns| {
            if node != state.primary {
                state.demote(&self.recorder, now_ns, node);
            }
        });
        self.settle();
    }

    /// A server dies: its connections break, and there are no new ones.
    pub fn crash(&self, node: usize) {
        self.with(|state, _| {
            let server = &mut state.nodes[node];
            server.crashed = true;
            server.frozen = false;
            let wakers = server.kill_connections();
            state.wakers.extend(wakers);
        });
    }

    /// A server that crashed starts again, with what its disk has, and loads it for so long.
    pub fn restart(&self, node: usize, disk: Disk, loading: Duration) {
        self.with(|state, now_ns| {
            let server = &mut state.nodes[node];
            if !server.crashed {
                return;
            }
            server.crashed = false;
            server.start();
            server.log.clear();
            match disk {
                Disk::Kept => {}
                Disk::Lost => {
                    server.disk.replace(Vec::new());
                    server.engine.replace_data(Vec::new());
                }
                Disk::LastFsync => {
                    let keyspaces = server.disk.after_power_loss(now_ns);
                    server.engine.replace_data(keyspaces);
                }
            }
            if !loading.is_zero() {
                server.engine.loading = true;
                server.loading_until_ns = Some(now_ns + nanos(loading));
            }
            server.link.resync = server.follows.is_some();
            for follower in &mut state.nodes {
                if follower.follows == Some(node) {
                    // Another history: everything anew.
                    follower.link.resync = true;
                    follower.link.position = 0;
                }
            }
            state.look_at_all(&self.recorder, now_ns, node, AuthorityEnd::Lost);
        });
        self.settle();
    }

    /// A server's wall clock jumps.
    pub fn step_clock(&self, node: usize, by_us: i64) {
        self.with(|state, now_ns| {
            let server = &mut state.nodes[node];
            server.clock = server.clock.stepped(now_ns, by_us);
            state.look_at_all(&self.recorder, now_ns, node, AuthorityEnd::Expired);
        });
    }

    /// A server's wall clock runs at another rate.
    pub fn set_clock_rate(&self, node: usize, rate_ppb: i64) {
        self.with(|state, now_ns| {
            let server = &mut state.nodes[node];
            server.clock = server.clock.running_at(now_ns, rate_ppb);
            state.look_at_all(&self.recorder, now_ns, node, AuthorityEnd::Expired);
        });
    }

    /// The primary throws out all keys with this prefix (empty: all keys), to make room.
    pub fn evict(&self, prefix: &str) {
        self.with(|state, now_ns| {
            let primary = state.primary;
            let engine = &mut state.nodes[primary].engine;
            let keys = engine.keyspaces.first().into_iter().flat_map(|keyspace| {
                let keys = keyspace.entries().map(|(key, _)| key.clone());
                keys.filter(|key| key.starts_with(prefix.as_bytes()))
            });
            for key in keys.collect::<Vec<_>>() {
                engine.delete(0, &key);
            }
            state.dropped(&self.recorder, now_ns);
        });
    }

    /// An operator's `FLUSHALL` on the primary.
    pub fn flush_all(&self) {
        self.with(|state, now_ns| {
            let primary = state.primary;
            state.nodes[primary].engine.clear(0..DATABASES);
            state.dropped(&self.recorder, now_ns);
        });
    }

    /// An operator's `DEL` on the primary.
    pub fn delete_key(&self, key: &str) {
        self.with(|state, now_ns| {
            let primary = state.primary;
            state.nodes[primary].engine.delete(0, key.as_bytes());
            state.dropped(&self.recorder, now_ns);
        });
    }

    /// All servers are out of memory, or no more.
    pub fn set_oom(&self, out_of_memory: bool) {
        self.with(|state, _| {
            for node in &mut state.nodes {
                node.engine.out_of_memory = out_of_memory;
            }
        });
    }

    /// All servers forget their scripts.
    pub fn script_flush(&self) {
        self.with(|state, _| {
            for node in &mut state.nodes {
                node.engine.flush_scripts();
            }
        });
    }

    /// Published messages vanish on their way, or no more.
    pub fn drop_pubsub(&self, drops: bool) {
        self.with(|state, _| {
            for node in &mut state.nodes {
                node.engine.drops_messages = drops;
            }
        });
    }

    /// Breaks all connections of a server.
    pub fn kill_connections(&self, node: usize) {
        self.with(|state, _| {
            let wakers = state.nodes[node].kill_connections();
            state.wakers.extend(wakers);
        });
    }

    /// What this peer says over the connections that it has now is held back, or all of it arrives.
    pub fn stick_connections(&self, node: usize, peer: &str, stuck: bool) {
        self.with(|state, _| {
            let server = &mut state.nodes[node];
            for connection in server.connections.values_mut() {
                if connection.peer == peer {
                    connection.stuck = stuck;
                }
            }
            let wakers = server.wake_all();
            state.wakers.extend(wakers);
        });
    }

    /// A server's answers and messages leave so much later.
    pub fn slow(&self, node: usize, delay: Duration) {
        self.with(|state, _| state.nodes[node].slow_ns = nanos(delay));
    }

    /// A server's answers are nonsense, or sense again.
    pub fn garble(&self, node: usize, garbage: Option<Garbage>) {
        self.with(|state, _| state.nodes[node].garbage = garbage);
    }

    /// A server's process stops, or goes on: it takes bytes and does nothing with them before that.
    pub fn freeze(&self, node: usize, frozen: bool) {
        self.with(|state, _| {
            let server = &mut state.nodes[node];
            server.frozen = frozen && !server.crashed;
            let wakers = server.wake_all();
            state.wakers.extend(wakers);
        });
        self.settle();
    }
}

impl State {
    fn promote(&mut self, recorder: &Recorder, now_ns: u64, index: usize, old: OldPrimary) {
        let before = self.primary;
        if index == before || self.nodes[index].crashed {
            return;
        }
        let behind = self.nodes[before].log.len();
        let behind = behind.saturating_sub(self.nodes[index].link.position);
        let promoted = match behind {
            0 => "promoted".to_owned(),
            _ => format!("promoted, {behind} write(s) behind"),
        };
        self.say(recorder, now_ns, index, &promoted);
        let node = &mut self.nodes[index];
        node.engine.role = Role::Primary;
        node.follows = None;
        node.rejoins = false;
        node.log.clear();
        node.starts += 1;
        let history = format!("history {} {}", node.name, node.starts);
        node.engine.replication_id = sha1_smol::Sha1::from(history).digest().to_string();
        let wakers = node.kill_connections();
        self.wakers.extend(wakers);
        // If it was the other side of a split brain: there is one side now.
        let name = self.nodes[index].name.clone();
        self.truth.forget(recorder, now_ns, &name, Side::Old(index));
        self.primary = index;
        let primary = self.nodes[index].name.clone();
        for other in 0..self.nodes.len() {
            let node = &mut self.nodes[other];
            if other == index || node.engine.role == Role::Primary {
                continue;
            }
            node.engine.role = Role::Replica {
                primary: primary.clone(),
            };
            node.follows = Some(index);
            node.link.resync = true;
        }
        self.nodes[before].rejoins = old == OldPrimary::Rejoins;
        self.look_at_all(recorder, now_ns, index, AuthorityEnd::Lost);
        self.look_at_all(recorder, now_ns, before, AuthorityEnd::Lost);
    }

    pub(super) fn demote(&mut self, recorder: &Recorder, now_ns: u64, index: usize) {
        let primary = self.nodes[self.primary].name.clone();
        self.say(recorder, now_ns, index, "demoted");
        let name = self.nodes[index].name.clone();
        self.truth.forget(recorder, now_ns, &name, Side::Old(index));
        let primary_index = self.primary;
        let node = &mut self.nodes[index];
        node.rejoins = false;
        node.engine.role = Role::Replica { primary };
        node.follows = Some(primary_index);
        node.link.resync = true;
        node.log.clear();
        // As Sentinel does: clients are to look anew for the primary.
        let wakers = node.kill_connections();
        self.wakers.extend(wakers);
    }

    /// After an operator or the server itself has removed keys of the primary.
    fn dropped(&mut self, recorder: &Recorder, now_ns: u64) {
        self.look_at_all(recorder, now_ns, self.primary, AuthorityEnd::Dropped);
        self.commit(self.primary, now_ns, None);
    }

    fn say(&self, recorder: &Recorder, now_ns: u64, index: usize, what: &str) {
        let kind = Kind::Server {
            what: what.to_owned(),
            peer: None,
        };
        recorder.record_at(now_ns, &self.nodes[index].name, None, kind);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}
