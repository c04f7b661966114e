use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    Text(Vec<u8>),
    /// A hash. Small ones keep the order in which fields came, so this does.
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    /// A sorted set, in its order.
    Sorted(Vec<(f64, Vec<u8>)>),
    /// A list.
    List(VecDeque<Vec<u8>>),
}

impl Value {
    /// As `TYPE` calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Hash(_) => "hash",
            Self::Sorted(_) => "zset",
            Self::List(_) => "list",
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Hash(fields) => fields.is_empty(),
            Self::Sorted(members) => members.is_empty(),
            Self::List(items) => items.is_empty(),
        }
    }
}

/// A value, and until when it is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// In ms since 1970: the key is there up to and including this millisecond.
    pub until_ms: Option<i64>,
}

impl Entry {
    /// Whether its time is over. As the server has it: the last millisecond still counts.
    pub fn is_over(&self, now_ms: i64) -> bool {
        self.until_ms.is_some_and(|until| now_ms > until)
    }

    /// From when on it is over, in µs since 1970.
    pub fn over_from_us(&self) -> Option<i64> {
        self.until_ms
            .map(|until| until.saturating_add(1).saturating_mul(1000))
    }
}

/// One database.
#[derive(Clone, Debug, Default)]
pub struct Keyspace {
    entries: BTreeMap<Vec<u8>, Entry>,
    ends: BTreeSet<(i64, Vec<u8>)>,
}

impl Keyspace {
    /// The entry, expired or not.
    pub fn entry(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All entries, expired or not, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = (&Vec<u8>, &Entry)> {
        self.entries.iter()
    }

    /// How many there are, expired ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts an entry in place of whatever is there.
    pub fn put(&mut self, key: Vec<u8>, entry: Entry) {
        if let Some(until) = entry.until_ms {
            self.ends.insert((until, key.clone()));
        }
        if let Some(old) = self.entries.insert(key.clone(), entry.clone())
            && let Some(until) = old.until_ms
            && entry.until_ms != Some(until)
        {
            self.ends.remove(&(until, key));
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        if let Some(until) = entry.until_ms {
            self.ends.remove(&(until, key.to_vec()));
        }
        Some(entry)
    }

    /// Another end; false if there is no such key.
    pub fn set_end(&mut self, key: &[u8], until_ms: Option<i64>) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        let before = std::mem::replace(&mut entry.until_ms, until_ms);
        if before != until_ms {
            if let Some(until) = before {
                self.ends.remove(&(until, key.to_vec()));
            }
            if let Some(until) = until_ms {
                self.ends.insert((until, key.to_vec()));
            }
        }
        true
    }

    /// The value, to be changed in place; [`settle`](Self::settle) it afterwards.
    pub fn value_mut(&mut self, key: &[u8]) -> Option<&mut Value> {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// A collection that has become empty is gone.
    pub fn settle(&mut self, key: &[u8]) {
        if self
            .entries
            .get(key)
            .is_some_and(|entry| entry.value.is_empty())
        {
            self.remove(key);
        }
    }

    /// The first end, in ms.
    pub fn next_end(&self) -> Option<i64> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// A key whose time is over.
    pub fn first_over(&self, now_ms: i64) -> Option<Vec<u8>> {
        let (until, key) = self.ends.first()?;
        (now_ms > *until).then(|| key.clone())
    }
}
