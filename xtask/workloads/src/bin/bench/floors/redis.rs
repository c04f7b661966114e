use dlock_workloads::Result;
use redis::aio::MultiplexedConnection;
use redis::{Script, cmd};

use super::{PATIENCE, STOP, Token};
use crate::cases::Cycle;
use crate::turns::Player;

const TTL_MS: u64 = 30_000;

/// One multiplexed connection, `SET key id NX PX ttl`, and a script that deletes the key if it is
/// still ours; with a fence a script that increments a counter as well.
#[derive(Clone)]
pub struct RedisFloor {
    connection: MultiplexedConnection,
    fenced: bool,
    id: String,
    take: Script,
    free: Script,
}

impl RedisFloor {
    pub async fn connect(url: &str, fenced: bool) -> Result<Self> {
        let client = redis::Client::open(url)?;
        Ok(Self {
            connection: client.get_multiplexed_async_connection().await?,
            fenced,
            id: format!("{:032x}", crate::now()),
            take: Script::new(
                "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return redis.call('INCR', KEYS[2]) end return false",
            ),
            free: Script::new(
                "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0",
            ),
        })
    }

    async fn take(&mut self, key: &str) -> Result<bool> {
        if self.fenced {
            let mut take = self.take.prepare_invoke();
            take.key(key).key(format!("{key}:counter"));
            take.arg(&self.id).arg(TTL_MS);
            let taken: Option<u64> = take.invoke_async(&mut self.connection).await?;
            Ok(taken.is_some())
        } else {
            let mut set = cmd("SET");
            set.arg(key).arg(&self.id).arg("NX").arg("PX").arg(TTL_MS);
            let taken: Option<String> = set.query_async(&mut self.connection).await?;
            Ok(taken.is_some())
        }
    }

    async fn free(&mut self, key: &str) -> Result<bool> {
        let mut free = self.free.prepare_invoke();
        free.key(key).arg(&self.id);
        let freed: u64 = free.invoke_async(&mut self.connection).await?;
        Ok(freed == 1)
    }
}

impl Cycle for RedisFloor {
    async fn acquire_and_release(&mut self, key: &str) -> Result<()> {
        if !self.take(key).await? {
            return Err("the floor's lock was held".into());
        }
        if !self.free(key).await? {
            return Err("the floor's lock was lost".into());
        }
        Ok(())
    }
}

/// A token passed between two connections with `LPUSH` and `BLPOP`.
pub struct RedisToken {
    connection: MultiplexedConnection,
    from: String,
    to: String,
    turn: u64,
}

impl Token for RedisToken {
    async fn connect(url: &str, from: String, to: String) -> Result<Self> {
        // A command may block for long.
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        let client = redis::Client::open(url)?;
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(Self {
            connection,
            from,
            to,
            turn: 0,
        })
    }

    async fn pass(&mut self, turn: u64) -> Result<()> {
        let mut push = cmd("LPUSH");
        push.arg(&self.to).arg(turn);
        Ok(push.query_async(&mut self.connection).await?)
    }
}

impl Player for RedisToken {
    async fn begin(&mut self) -> Result<Option<u64>> {
        let mut pop = cmd("BLPOP");
        pop.arg(&self.from).arg(PATIENCE);
        let (_, turn): (String, u64) = pop.query_async(&mut self.connection).await?;
        self.turn = turn;
        Ok((turn != STOP).then_some(turn))
    }

    async fn end(&mut self, last: bool) -> Result<()> {
        self.pass(if last { STOP } else { self.turn + 1 }).await
    }
}
