//! What may be left at etcd, and how to see it.

use std::time::Instant;

use dlock_core::Locker;
use dlock_etcd::EtcdStore;
use dlock_etcd::etcd_client::{Client, GetOptions, KeyValue};

use crate::support::{Member, PATIENCE, raw, within};

/// An etcd of the test's own: all that is in it is the test's.
pub struct Etcd {
    member: Member,
    pub client: Client,
}

impl Etcd {
    pub async fn start() -> Option<Self> {
        let member = Member::start()?;
        let client = raw(&member.endpoint()).await;
        Some(Self { member, client })
    }

    pub fn lazy(&self) -> EtcdStore {
        let builder = EtcdStore::builder().endpoints([self.member.endpoint()]);
        builder.lazy().unwrap()
    }

    pub async fn keys(&self) -> Vec<String> {
        keys(&self.client, "lock/").await
    }

    pub async fn leases(&self) -> usize {
        let answer = within(PATIENCE, self.client.lease_client().leases()).await;
        answer.unwrap().leases().len()
    }

    /// Waits until nothing is left but the entries and leases of this many guards, and pools.
    pub async fn until_clean(&self, what: &str, guards: usize, stores: &[&EtcdStore]) {
        let started = Instant::now();
        loop {
            let idle: usize = stores.iter().map(|store| store.idle_leases()).sum();
            let (keys, leases) = (self.keys().await, self.leases().await);
            if (keys.len(), leases) == (guards, guards + idle) {
                return;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{what}: {leases} leases, of which {idle} are idle and {guards} are held; {} keys: {:?}",
                keys.len(),
                keys.first()
            );
        }
    }
}

/// All that begin with this.
pub async fn keys(client: &Client, prefix: &str) -> Vec<String> {
    let all = GetOptions::new().with_prefix().with_keys_only();
    let answer = within(PATIENCE, client.kv_client().get(prefix, Some(all))).await;
    let key = |kv: &KeyValue| kv.key_str().unwrap().to_owned();
    answer.unwrap().kvs().iter().map(key).collect()
}

/// Nothing is left to do after it.
pub async fn close(locker: Locker) {
    assert_eq!(within(PATIENCE, locker.close()).await.unfinished, 0);
}
