use std::collections::BTreeMap;

use dlock_core::{AttemptId, FencingToken, Grant};

use crate::redis::engine::{Engine, Entry, Value};
use crate::trace::{AuthorityEnd, Kind, Recorder};
use crate::world::WallClock;

/// Who says that a lock is held: the service, or in a split brain an old primary by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// The primary of the newest epoch, whichever server that is.
    Service,
    /// This server, which nobody has told that it is no primary any more.
    Old(usize),
}

/// Which attempt owns which lock, by the data of those who may say so.
pub(super) struct Truth {
    prefix: Vec<u8>,
    held: BTreeMap<(Side, Vec<u8>), Held>,
}

#[derive(Clone, Debug, PartialEq)]
struct Held {
    value: Vec<u8>,
    attempt: Option<String>,
    token: Option<u64>,
    until_ns: Option<u64>,
}

/// A side's server, as it is now.
pub(super) struct Seen<'a> {
    pub side: Side,
    /// The node's name in the trace.
    pub name: &'a str,
    pub engine: &'a Engine,
    pub clock: WallClock,
}

/// A change's reason.
#[derive(Clone, Copy)]
pub(super) struct Because<'a> {
    /// The client's node.
    pub by: Option<&'a str>,
    /// What is said of a lock that is gone.
    pub end: AuthorityEnd,
}

impl Truth {
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.as_bytes().to_vec(),
            held: BTreeMap::new(),
        }
    }

    /// Writes down what has expired by now, each at its instant.
    pub fn expire(&mut self, recorder: &Recorder, now_ns: u64, name: impl Fn(Side) -> String) {
        let mut over: Vec<_> = self
            .held
            .iter()
            .filter_map(|((side, key), held)| Some((held.until_ns?, *side, key.clone())))
            .filter(|(until_ns, ..)| *until_ns <= now_ns)
            .collect();
        over.sort();
        for (until_ns, side, key) in over {
            let because = Because {
                by: None,
                end: AuthorityEnd::Expired,
            };
            self.end(recorder, until_ns, &name(side), side, &key, because);
        }
    }

    /// Compares a key with what was known of it.
    pub fn look(
        &mut self,
        recorder: &Recorder,
        now_ns: u64,
        seen: &Seen<'_>,
        key: &[u8],
        because: Because<'_>,
    ) {
        if !self.is_lock(key) {
            return;
        }
        let now_us = seen.clock.at(now_ns);
        let held = seen
            .engine
            .entry(0, key)
            .filter(|entry| !entry.is_over(now_us.div_euclid(1000)))
            .and_then(|entry| self.holder(key, entry, &seen.clock));
        let place = (seen.side, key.to_vec());
        let known = self.held.get(&place);
        if known == held.as_ref() {
            return;
        }
        let same = match (known, &held) {
            (Some(known), Some(held)) => known.value == held.value,
            _ => false,
        };
        if known.is_some() && !same {
            let end = match (&held, because.end) {
                (Some(_), AuthorityEnd::Removed) => AuthorityEnd::Replaced,
                (_, end) => end,
            };
            let because = Because { end, ..because };
            self.end(recorder, now_ns, seen.name, seen.side, key, because);
        }
        let Some(held) = held else {
            return;
        };
        let name = self.lock_name(key);
        let by = because.by.map(str::to_owned);
        let Held {
            attempt,
            token,
            until_ns,
            ..
        } = held.clone();
        let kind = if same {
            Kind::AuthorityMoved {
                name,
                attempt,
                token,
                until_ns,
                by,
            }
        } else {
            Kind::AuthorityBegins {
                name,
                attempt,
                token,
                until_ns,
                by,
            }
        };
        recorder.record_at(now_ns, seen.name, None, kind);
        self.held.insert(place, held);
    }

    /// Compares all keys.
    pub fn look_at_all(
        &mut self,
        recorder: &Recorder,
        now_ns: u64,
        seen: &Seen<'_>,
        because: Because<'_>,
    ) {
        let known = self.held.keys().filter(|(side, _)| *side == seen.side);
        let mut keys: Vec<Vec<u8>> = known.map(|(_, key)| key.clone()).collect();
        if let Some(keyspace) = seen.engine.keyspaces().first() {
            keys.extend(keyspace.entries().map(|(key, _)| key.clone()));
        }
        keys.sort();
        keys.dedup();
        for key in keys {
            self.look(recorder, now_ns, seen, &key, because);
        }
    }

    /// This side says nothing any more.
    pub fn forget(&mut self, recorder: &Recorder, now_ns: u64, name: &str, side: Side) {
        let known = self.held.keys().filter(|(known, _)| *known == side);
        let keys: Vec<Vec<u8>> = known.map(|(_, key)| key.clone()).collect();
        let because = Because {
            by: None,
            end: AuthorityEnd::Lost,
        };
        for key in keys {
            self.end(recorder, now_ns, name, side, &key, because);
        }
    }

    fn end(
        &mut self,
        recorder: &Recorder,
        t_ns: u64,
        node: &str,
        side: Side,
        key: &[u8],
        because: Because<'_>,
    ) {
        let Some(held) = self.held.remove(&(side, key.to_vec())) else {
            return;
        };
        let kind = Kind::AuthorityEnds {
            name: self.lock_name(key),
            attempt: held.attempt,
            token: held.token,
            why: because.end,
            by: because.by.map(str::to_owned),
        };
        recorder.record_at(t_ns, node, None, kind);
    }

    fn holder(&self, key: &[u8], entry: &Entry, clock: &WallClock) -> Option<Held> {
        // What lies beyond all worlds is no end.
        let over_us = entry
            .over_from_us()
            .filter(|&over_us| over_us < i64::MAX / 4);
        let until_ns = over_us.map(|over_us| instant(clock, over_us));
        let ours = match &entry.value {
            Value::Text(text) => grant(text),
            _ => None,
        };
        if ours.is_none() && (!key.starts_with(&self.prefix) || self.prefix.is_empty()) {
            return None;
        }
        let value = match &entry.value {
            Value::Text(text) => text.clone(),
            // Whatever it is, nobody gets the lock.
            other => other.kind().as_bytes().to_vec(),
        };
        Some(Held {
            value,
            attempt: ours.map(|grant| grant.hash().to_string()),
            token: ours.map(|grant| grant.token.value()),
            until_ns,
        })
    }

    fn is_lock(&self, key: &[u8]) -> bool {
        // Beside its locks dlock keeps `{tag}dlock:…`.
        let beside = key.strip_prefix(b"{").and_then(|rest| {
            let close = rest.iter().position(|&byte| byte == b'}')?;
            Some(rest[close + 1..].starts_with(b"dlock:"))
        });
        beside != Some(true)
    }

    fn lock_name(&self, key: &[u8]) -> String {
        let name = key.strip_prefix(self.prefix.as_slice()).unwrap_or(key);
        String::from_utf8_lossy(name).into_owned()
    }
}

/// The first true instant at which this clock shows so much.
pub(super) fn instant(clock: &WallClock, wall_us: i64) -> u64 {
    let mut at_ns = clock.when(wall_us);
    // Both directions round down.
    for _ in 0..4 {
        if clock.at(at_ns) >= wall_us {
            break;
        }
        at_ns += 1;
    }
    at_ns
}

/// `dlock1:<attempt id>:<token>:<label>`
fn grant(value: &[u8]) -> Option<Grant> {
    let mut parts = value
        .strip_prefix(b"dlock1:")?
        .splitn(3, |&byte| byte == b':');
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    let (id, token) = (text()?, text()?);
    parts.next()?;
    Some(Grant {
        id: AttemptId::parse(id)?,
        token: FencingToken::new(token.parse().ok()?)?,
    })
}
