use std::fmt;
use std::str::FromStr;

/// The backends with servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Redis,
    Etcd,
}

impl Store {
    pub(crate) const ALL: [Self; 2] = [Self::Redis, Self::Etcd];
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
