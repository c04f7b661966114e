use std::collections::BTreeMap;
use std::ops::Bound;

use etcd_client::proto::{PbEvent, PbKeyValue};

use super::EtcdError;

const PUT: i32 = 0;
const DELETE: i32 = 1;

/// Keys and all their versions since the last compaction, and the changes in the order in which they happened.
#[derive(Clone, Debug)]
pub(super) struct Mvcc {
    revision: i64,
    compacted: i64,
    keys: BTreeMap<Vec<u8>, Vec<Version>>,
    commits: Vec<Commit>,
}

#[derive(Clone, Debug)]
struct Version {
    revision: i64,
    /// None: it was deleted.
    kv: Option<PbKeyValue>,
}

/// All changes of one revision.
#[derive(Clone, Debug)]
pub struct Commit {
    /// It.
    pub revision: i64,
    /// In the order in which they were made, each with what was there before.
    pub events: Vec<PbEvent>,
}

/// Which keys a request is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Span<'a> {
    One(&'a [u8]),
    From(&'a [u8]),
    Between(&'a [u8], &'a [u8]),
}

impl<'a> Span<'a> {
    /// As requests write it: no end for one key, a single zero byte for all from `key`.
    pub fn of(key: &'a [u8], end: &'a [u8]) -> Self {
        match end {
            [] => Self::One(key),
            [0] => Self::From(key),
            end => Self::Between(key, end),
        }
    }

    pub fn contains(self, key: &[u8]) -> bool {
        match self {
            Self::One(one) => key == one,
            Self::From(begin) => key >= begin,
            Self::Between(begin, end) => key >= begin && key < end,
        }
    }

    pub fn is_empty(self) -> bool {
        matches!(self, Self::Between(begin, end) if begin >= end)
    }
}

impl Mvcc {
    /// A new etcd is at revision 1, and nothing has been compacted.
    pub fn new() -> Self {
        Self {
            revision: 1,
            compacted: -1,
            keys: BTreeMap::new(),
            commits: Vec::new(),
        }
    }

    pub fn revision(&self) -> i64 {
        self.revision
    }

    pub fn compacted(&self) -> i64 {
        self.compacted
    }

    /// What these keys were at a revision, in their order.
    pub fn at(&self, span: Span<'_>, revision: i64) -> Vec<&PbKeyValue> {
        let last = |versions: &'_ Vec<Version>| {
            let at = versions.iter().rposition(|one| one.revision <= revision);
            at.filter(|at| versions[*at].kv.is_some())
        };
        let range = match span {
            _ if span.is_empty() => return Vec::new(),
            Span::One(key) => {
                let versions = self.keys.get(key);
                let found = versions.and_then(|all| all[last(all)?].kv.as_ref());
                return found.into_iter().collect();
            }
            Span::From(begin) => (Bound::Included(begin), Bound::Unbounded),
            Span::Between(begin, end) => (Bound::Included(begin), Bound::Excluded(end)),
        };
        let all = self.keys.range::<[u8], _>(range);
        all.filter_map(|(_, all)| all[last(all)?].kv.as_ref())
            .collect()
    }

    pub fn one(&self, key: &[u8], revision: i64) -> Option<&PbKeyValue> {
        self.at(Span::One(key), revision).into_iter().next()
    }

    /// What happened after a revision.
    pub fn since(&self, revision: i64) -> &[Commit] {
        let first = self
            .commits
            .partition_point(|commit| commit.revision <= revision);
        &self.commits[first..]
    }

    pub fn compact(&mut self, revision: i64) -> Result<(), EtcdError> {
        if revision <= self.compacted {
            return Err(EtcdError::Compacted);
        }
        if revision > self.revision {
            return Err(EtcdError::FutureRevision);
        }
        self.compacted = revision;
        self.keys.retain(|_, versions| {
            let kept = versions.iter().rposition(|one| one.revision <= revision);
            if let Some(kept) = kept {
                let gone = versions[kept].kv.is_none();
                versions.drain(..if gone { kept + 1 } else { kept });
            }
            !versions.is_empty()
        });
        // The commits stay: members that are behind have not heard of it.
        Ok(())
    }

    /// A restored snapshot may count on from a higher number (`--bump-revision`), with all before it compacted
    /// (`--mark-compacted`).
    pub fn bump(&mut self, by: i64) {
        self.revision += by;
        let _ = self.compact(self.revision);
    }

    pub fn write(&mut self) -> Write<'_> {
        Write {
            mvcc: self,
            events: Vec::new(),
        }
    }
}

/// Changes that get one revision.
pub(super) struct Write<'a> {
    mvcc: &'a mut Mvcc,
    events: Vec<PbEvent>,
}

impl Write<'_> {
    /// The revision that reads in this transaction see.
    pub fn current(&self) -> i64 {
        self.mvcc.revision + i64::from(!self.events.is_empty())
    }

    pub fn next(&self) -> i64 {
        self.mvcc.revision + 1
    }

    pub fn mvcc(&self) -> &Mvcc {
        self.mvcc
    }

    /// Gives the lease that the key had.
    pub fn put(&mut self, key: &[u8], value: Vec<u8>, lease: i64) -> i64 {
        let revision = self.next();
        let before = self.mvcc.one(key, revision);
        let (created, version, old_lease) = match before {
            Some(kv) => (kv.create_revision, kv.version, kv.lease),
            None => (revision, 0, 0),
        };
        let kv = PbKeyValue {
            key: key.to_vec(),
            create_revision: created,
            mod_revision: revision,
            version: version + 1,
            value,
            lease,
        };
        self.push(PUT, kv.clone(), Some(kv));
        old_lease
    }

    /// Gives the keys that were there, each with its lease.
    pub fn delete(&mut self, span: Span<'_>) -> Vec<(Vec<u8>, i64)> {
        let (current, revision) = (self.current(), self.next());
        let there = self.mvcc.at(span, current);
        let there: Vec<_> = there.iter().map(|kv| (kv.key.clone(), kv.lease)).collect();
        for (key, _) in &there {
            let kv = PbKeyValue {
                key: key.clone(),
                mod_revision: revision,
                ..PbKeyValue::default()
            };
            self.push(DELETE, kv, None);
        }
        there
    }

    fn push(&mut self, kind: i32, event: PbKeyValue, kv: Option<PbKeyValue>) {
        let revision = self.next();
        let before = self.mvcc.one(&event.key, revision - 1);
        let prev_kv = before
            .filter(|_| event.create_revision != revision)
            .cloned();
        let versions = self.mvcc.keys.entry(event.key.clone()).or_default();
        versions.push(Version { revision, kv });
        self.events.push(PbEvent {
            r#type: kind,
            kv: Some(event),
            prev_kv,
        });
    }

    /// Gives the revision after it.
    pub fn end(self) -> i64 {
        if !self.events.is_empty() {
            self.mvcc.revision += 1;
            self.mvcc.commits.push(Commit {
                revision: self.mvcc.revision,
                events: self.events,
            });
        }
        self.mvcc.revision
    }
}
