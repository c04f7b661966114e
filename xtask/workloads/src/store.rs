use std::fmt;
use std::str::FromStr;

use dlock_core::Locker;
use dlock_etcd::EtcdStore;
use dlock_redis::RedisStore;

use crate::Result;

/// The backends that the programs run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Redis or Valkey.
    Redis,
    /// etcd v3.
    Etcd,
}

impl Store {
    const ALL: [Self; 2] = [Self::Redis, Self::Etcd];

    /// A locker with connections of its own and all settings at their defaults.
    pub async fn locker(self, url: &str) -> Result<Locker> {
        Ok(match self {
            Self::Redis => Locker::new(RedisStore::connect(url).await?),
            Self::Etcd => Locker::new(EtcdStore::connect([url]).await?),
        })
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "redis",
            Self::Etcd => "etcd",
        })
    }
}

impl FromStr for Store {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = Self::ALL
            .into_iter()
            .find(|store| store.to_string() == word);
        known.ok_or_else(|| format!("there is no store `{word}`: say redis or etcd"))
    }
}
