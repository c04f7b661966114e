use std::str::FromStr;

use dlock_workloads::Store;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// dlock on this store.
    Ours(Store),
    RedisFloor {
        fenced: bool,
    },
    EtcdFloor,
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Ok(match word {
            "dlock-redis" => Self::Ours(Store::Redis),
            "dlock-etcd" => Self::Ours(Store::Etcd),
            "floor" => Self::RedisFloor { fenced: false },
            "fenced-floor" => Self::RedisFloor { fenced: true },
            "etcd-floor" => Self::EtcdFloor,
            _ => return Err(format!("there is no subject `{word}`")),
        })
    }
}
