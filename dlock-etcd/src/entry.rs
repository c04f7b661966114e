use etcd_client::proto::PbKeyValue;

use crate::value::Owner;

/// One place in the queue of a name, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub key: Vec<u8>,
    /// Its place in the order, and the token of its grant.
    pub created: i64,
    pub modified: i64,
    pub lease: i64,
    pub owner: Owner,
}

impl From<PbKeyValue> for Entry {
    fn from(kv: PbKeyValue) -> Self {
        Self {
            created: kv.create_revision,
            modified: kv.mod_revision,
            lease: kv.lease,
            owner: Owner::parse(&kv.value),
            key: kv.key,
        }
    }
}

/// Who stands before an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// Directly before it: its end is what the entry waits for.
    pub before: Option<Entry>,
    /// Before that one: its end makes `before` the first.
    pub second: Option<Entry>,
    /// The first of all, where it is known: who holds the lock, or may ask for it.
    pub first: Option<Entry>,
}

impl Ahead {
    pub fn of(before: Option<Entry>, second: Option<Entry>) -> Self {
        let first = match &second {
            None => before.clone(),
            Some(second) => second.owner.holds().then(|| second.clone()),
        };
        Self {
            before,
            second,
            first,
        }
    }
}
