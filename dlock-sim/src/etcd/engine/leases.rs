use std::collections::{BTreeMap, BTreeSet};

use super::EtcdError;

/// etcd's shortest TTL: one and a half election timeouts, in whole seconds.
const SHORTEST: i64 = 2;
const LONGEST: i64 = 9_000_000_000;

/// Leases, and the keys under them. When they end is known to the leader only.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases {
    all: BTreeMap<i64, Lease>,
}

/// A lease.
#[derive(Clone, Debug)]
pub struct Lease {
    /// In seconds.
    pub ttl: i64,
    /// The keys that are deleted with it.
    pub keys: BTreeSet<Vec<u8>>,
}

impl Leases {
    /// Gives the TTL that it got.
    pub fn grant(&mut self, id: i64, ttl: i64) -> Result<i64, EtcdError> {
        if ttl > LONGEST {
            return Err(EtcdError::LeaseTtlTooLarge);
        }
        if self.all.contains_key(&id) {
            return Err(EtcdError::LeaseExists);
        }
        let ttl = ttl.max(SHORTEST);
        let keys = BTreeSet::new();
        self.all.insert(id, Lease { ttl, keys });
        Ok(ttl)
    }

    pub fn remove(&mut self, id: i64) -> Result<Lease, EtcdError> {
        self.all.remove(&id).ok_or(EtcdError::LeaseNotFound)
    }

    pub fn get(&self, id: i64) -> Option<&Lease> {
        self.all.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (i64, &Lease)> {
        self.all.iter().map(|(id, lease)| (*id, lease))
    }

    /// A lease that a key is to be put under: 0 is none.
    pub fn check(&self, id: i64) -> Result<(), EtcdError> {
        if id != 0 && !self.all.contains_key(&id) {
            return Err(EtcdError::LeaseNotFound);
        }
        Ok(())
    }

    pub fn attach(&mut self, id: i64, key: &[u8]) {
        if let Some(lease) = self.all.get_mut(&id) {
            lease.keys.insert(key.to_vec());
        }
    }

    pub fn detach(&mut self, id: i64, key: &[u8]) {
        if let Some(lease) = self.all.get_mut(&id) {
            lease.keys.remove(key);
        }
    }
}
