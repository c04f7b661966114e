//! Who owns which lock, as the committed state has it.

use std::collections::{BTreeMap, BTreeSet};

use dlock_core::{AttemptId, FencingToken, Grant};
use etcd_client::proto::PbKeyValue;

use crate::etcd::engine::Engine;
use crate::trace::{AuthorityEnd, Kind, Recorder};

/// The node that the truth is written under.
const NODE: &str = "cluster";

/// What made a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A request of this client node.
    Client(String),
    /// A lease that ended.
    Expiry,
    /// Somebody by hand, or etcd by mistake.
    Operator,
    /// A restored snapshot.
    Restore,
    /// A new leader, or another rate of its clock.
    Leader,
}

/// Writes when the authority over each lock begins, moves and ends.
#[derive(Debug)]
pub(super) struct Truth {
    prefix: Vec<u8>,
    recorder: Recorder,
    /// By the prefix of their entries.
    owners: BTreeMap<Vec<u8>, Owner>,
    by_lease: BTreeSet<(i64, Vec<u8>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    /// None: foreign.
    attempt: Option<String>,
    token: u64,
    key: Vec<u8>,
    lease: i64,
    until: Option<u64>,
}

impl Truth {
    pub fn new(prefix: &str, recorder: Recorder) -> Self {
        Self {
            prefix: prefix.as_bytes().to_vec(),
            recorder,
            owners: BTreeMap::new(),
            by_lease: BTreeSet::new(),
        }
    }

    /// Keys have changed.
    pub fn changed<'a>(
        &mut self,
        now: u64,
        engine: &Engine,
        ends: &BTreeMap<i64, u64>,
        keys: impl Iterator<Item = &'a [u8]>,
        cause: &Cause,
    ) {
        let locks: BTreeSet<Vec<u8>> = keys.filter_map(|key| self.lock_of(key)).collect();
        for lock in locks {
            self.look(now, engine, ends, lock, cause);
        }
    }

    /// The ends of leases have moved: of one, or of all.
    pub fn moved(
        &mut self,
        now: u64,
        engine: &Engine,
        ends: &BTreeMap<i64, u64>,
        lease: Option<i64>,
        cause: &Cause,
    ) {
        let locks: Vec<_> = match lease {
            Some(lease) => {
                let under = self.by_lease.range((lease, Vec::new())..);
                let under = under.take_while(|(other, _)| *other == lease);
                under.map(|(_, lock)| lock.clone()).collect()
            }
            None => self.owners.keys().cloned().collect(),
        };
        for lock in locks {
            self.look(now, engine, ends, lock, cause);
        }
    }

    /// Everything may be different.
    pub fn restored(&mut self, now: u64, engine: &Engine, ends: &BTreeMap<i64, u64>) {
        let mut locks: BTreeSet<_> = self.owners.keys().cloned().collect();
        let entries = engine.with_prefix(&self.prefix);
        locks.extend(entries.iter().filter_map(|kv| self.lock_of(&kv.key)));
        for lock in locks {
            self.look(now, engine, ends, lock, &Cause::Restore);
        }
    }

    fn look(
        &mut self,
        now: u64,
        engine: &Engine,
        ends: &BTreeMap<i64, u64>,
        lock: Vec<u8>,
        cause: &Cause,
    ) {
        let entries = engine.with_prefix(&lock);
        let first = entries.into_iter().min_by_key(|kv| kv.create_revision);
        let is = first.and_then(|kv| Owner::of(kv, ends));
        let was = self.owners.get(&lock).cloned();
        let name = self.name_of(&lock);
        let by = match cause {
            Cause::Client(node) => Some(node.clone()),
            _ => None,
        };
        let write = |kind| {
            self.recorder.record_at(now, NODE, None, kind);
        };
        match (&was, &is) {
            (Some(was), Some(is)) if was.is_same(is) => {
                if was.until != is.until {
                    write(Kind::AuthorityMoved {
                        name,
                        attempt: is.attempt.clone(),
                        token: Some(is.token),
                        until_ns: is.until,
                        by,
                    });
                }
            }
            _ => {
                if let Some(was) = &was {
                    let there = is.as_ref().is_some_and(|is| is.key == was.key);
                    write(Kind::AuthorityEnds {
                        name: name.clone(),
                        attempt: was.attempt.clone(),
                        token: Some(was.token),
                        why: why(cause, there),
                        by: by.clone(),
                    });
                }
                if let Some(is) = &is {
                    write(Kind::AuthorityBegins {
                        name,
                        attempt: is.attempt.clone(),
                        token: Some(is.token),
                        until_ns: is.until,
                        by,
                    });
                }
            }
        }
        if let Some(was) = was {
            self.owners.remove(&lock);
            self.by_lease.remove(&(was.lease, lock.clone()));
        }
        if let Some(is) = is {
            self.by_lease.insert((is.lease, lock.clone()));
            self.owners.insert(lock, is);
        }
    }

    /// The part of a key that all entries of its lock share.
    fn lock_of(&self, key: &[u8]) -> Option<Vec<u8>> {
        let rest = key.strip_prefix(&self.prefix[..])?;
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        Some(key[..self.prefix.len() + slash + 1].to_vec())
    }

    fn name_of(&self, lock: &[u8]) -> String {
        let escaped = &lock[self.prefix.len()..lock.len() - 1];
        String::from_utf8_lossy(escaped)
            .replace("%2F", "/")
            .replace("%25", "%")
    }
}

impl Owner {
    /// The first in the queue owns the lock, except one of ours that still waits: it has not been granted.
    fn of(kv: &PbKeyValue, ends: &BTreeMap<i64, u64>) -> Option<Self> {
        let token = u64::try_from(kv.create_revision).ok()?;
        let attempt = match Entry::of(&kv.value) {
            Entry::Waiting => return None,
            Entry::Holding(id) => {
                FencingToken::new(token).map(|token| Grant { id, token }.hash().to_string())
            }
            Entry::Foreign => None,
        };
        Some(Self {
            attempt,
            token,
            key: kv.key.clone(),
            lease: kv.lease,
            until: ends.get(&kv.lease).copied(),
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.attempt, self.token, &self.key) == (&other.attempt, other.token, &other.key)
    }
}

/// What `dlock-etcd` writes into an entry: `dlock1 <standing> <attempt id> <label>`.
enum Entry {
    Waiting,
    Holding(AttemptId),
    Foreign,
}

impl Entry {
    fn of(value: &[u8]) -> Self {
        let parse = || {
            let text = std::str::from_utf8(value).ok()?;
            let mut parts = text.strip_prefix("dlock1 ")?.splitn(3, ' ');
            let (standing, id) = (parts.next()?, AttemptId::parse(parts.next()?)?);
            parts.next()?;
            match standing {
                "waiting" => Some(Self::Waiting),
                "holding" => Some(Self::Holding(id)),
                _ => None,
            }
        };
        parse().unwrap_or(Self::Foreign)
    }
}

fn why(cause: &Cause, still_there: bool) -> AuthorityEnd {
    match cause {
        Cause::Restore => AuthorityEnd::Lost,
        _ if still_there => AuthorityEnd::Replaced,
        Cause::Client(_) => AuthorityEnd::Removed,
        Cause::Expiry => AuthorityEnd::Expired,
        Cause::Operator | Cause::Leader => AuthorityEnd::Dropped,
    }
}
