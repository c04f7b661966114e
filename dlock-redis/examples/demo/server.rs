//! What the server says about itself.

use dlock_redis::redis::{Client, aio::MultiplexedConnection, cmd};

use crate::Result;

pub struct Server {
    connection: MultiplexedConnection,
}

impl Server {
    pub async fn connect(url: &str) -> Result<Self> {
        let connection = Client::open(url)?
            .get_multiplexed_async_connection()
            .await?;
        Ok(Self { connection })
    }

    /// Such as `Redis 7.0.15`.
    pub async fn version(&mut self) -> Result<String> {
        let info = self.info("server").await?;
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        Ok(match (field("valkey_version:"), field("redis_version:")) {
            (Some(valkey), _) => format!("Valkey {valkey}"),
            (None, redis) => format!("Redis {}", redis.unwrap_or("of unknown version")),
        })
    }

    /// How many scripts clients have sent to be run. Every step of dlock on a lock is one; what a
    /// script does inside the server is not counted, nor is connecting.
    pub async fn scripts_run(&mut self) -> Result<u64> {
        let info = self.info("commandstats").await?;
        let calls = |line: &str| {
            let (command, statistics) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = statistics.split(',').next()?.parse::<u64>().ok()?;
            ["eval", "evalsha"].contains(&command).then_some(calls)
        };
        Ok(info.lines().filter_map(calls).sum())
    }

    async fn info(&mut self, section: &str) -> Result<String> {
        Ok(cmd("INFO")
            .arg(section)
            .query_async(&mut self.connection)
            .await?)
    }
}
