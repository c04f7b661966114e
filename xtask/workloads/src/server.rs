use etcd_client::{Client, GetOptions};
use redis::aio::MultiplexedConnection;

use crate::{EtcdMetrics, Result, Store};

/// A server, asked about itself behind dlock's back.
pub enum Server {
    /// Redis or Valkey.
    Redis(MultiplexedConnection),
    /// One member.
    Etcd {
        /// For what it stores.
        client: Box<Client>,
        /// For what it counts.
        url: String,
    },
}

impl Server {
    /// Connects to it.
    pub async fn connect(store: Store, url: &str) -> Result<Self> {
        Ok(match store {
            Store::Redis => Self::Redis(
                redis::Client::open(url)?
                    .get_multiplexed_async_connection()
                    .await?,
            ),
            Store::Etcd => Self::Etcd {
                client: Box::new(Client::connect([url], None).await?),
                url: url.to_owned(),
            },
        })
    }

    /// Such as `Redis 7.0.15`.
    pub async fn version(&mut self) -> Result<String> {
        Ok(match self {
            Self::Redis(connection) => redis_version(&info(connection, "server").await?),
            Self::Etcd { client, .. } => format!("etcd {}", client.status().await?.version()),
        })
    }

    /// The number that stands under this key; 0 if nothing does.
    pub async fn number(&mut self, key: &str) -> Result<u64> {
        let text: Option<String> = match self {
            Self::Redis(connection) => redis::cmd("GET").arg(key).query_async(connection).await?,
            Self::Etcd { client, .. } => {
                let answer = client.get(key, None).await?;
                let value = answer.kvs().first().map(|kv| kv.value_str());
                value.transpose()?.map(str::to_owned)
            }
        };
        Ok(text.map_or(Ok(0), |text| text.parse())?)
    }

    /// Removes what stands under this key.
    pub async fn remove(&mut self, key: &str) -> Result<()> {
        match self {
            Self::Redis(connection) => redis::cmd("DEL").arg(key).exec_async(connection).await?,
            Self::Etcd { client, .. } => drop(client.delete(key, None).await?),
        }
        Ok(())
    }

    /// How many requests clients have made. What a script does inside of Redis is not counted; every
    /// message on one of etcd's streams is.
    pub async fn requests(&mut self) -> Result<u64> {
        Ok(match self {
            Self::Redis(connection) => requests_to_redis(&info(connection, "commandstats").await?),
            Self::Etcd { url, .. } => EtcdMetrics::read(url).await?.messages_received(),
        })
    }

    /// How many stand in the queue for this lock: on Redis store instances, on etcd attempts.
    pub async fn queue_length(&mut self, name: &str) -> Result<u64> {
        Ok(match self {
            Self::Redis(connection) => {
                let key = format!("{{lock:{name}}}dlock:queue:lock:{name}");
                redis::cmd("ZCARD").arg(key).query_async(connection).await?
            }
            Self::Etcd { client, .. } => {
                let options = GetOptions::new().with_prefix().with_count_only();
                let key = format!("lock/{name}/");
                let entries = client.get(key, Some(options)).await?.count();
                // The first of them holds the lock.
                u64::try_from(entries)?.saturating_sub(1)
            }
        })
    }
}

async fn info(connection: &mut MultiplexedConnection, section: &str) -> Result<String> {
    Ok(redis::cmd("INFO")
        .arg(section)
        .query_async(connection)
        .await?)
}

fn redis_version(info: &str) -> String {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
    // Valkey also states the Redis version that it is compatible with.
    match (field("valkey_version:"), field("redis_version:")) {
        (Some(valkey), _) => format!("Valkey {valkey}"),
        (None, redis) => format!("Redis {}", redis.unwrap_or("of unknown version")),
    }
}

/// These commands cannot be called by scripts, and our clients send no others.
fn requests_to_redis(commandstats: &str) -> u64 {
    const ASKED: [&str; 8] = [
        "evalsha",
        "eval",
        "ping",
        "subscribe",
        "hello",
        "auth",
        "select",
        "script|load",
    ];
    let calls = |line: &str| {
        let (command, statistics) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let asked = ASKED.contains(&command) || command.starts_with("client");
        let calls = statistics.split(',').next()?.parse::<u64>().ok()?;
        asked.then_some(calls)
    };
    commandstats.lines().filter_map(calls).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scripts_call_is_no_request() {
        let stats = "# Commandstats\r\n\
            cmdstat_evalsha:calls=7,usec=70\r\n\
            cmdstat_client|setinfo:calls=2,usec=9\r\n\
            cmdstat_hello:calls=1,usec=9\r\n\
            cmdstat_set:calls=100,usec=9\r\n";
        assert_eq!(requests_to_redis(stats), 10);
    }

    #[test]
    fn valkey_is_not_taken_for_the_redis_it_is_compatible_with() {
        let redis = "redis_version:7.0.15\r\n";
        let valkey = format!("{redis}valkey_version:9.1.2\r\n");
        assert_eq!(redis_version(redis), "Redis 7.0.15");
        assert_eq!(redis_version(&valkey), "Valkey 9.1.2");
    }
}
