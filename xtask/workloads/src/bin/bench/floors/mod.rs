//! The least that a lock can cost on a server: bare clients, without clean-up, renewal or order.
//! Nothing to use.

mod etcd;
mod redis;

pub use etcd::{EtcdFloor, EtcdToken};
pub use redis::{RedisFloor, RedisToken};

use dlock_workloads::Result;

use crate::turns::Player;

/// What two players pass to each other instead of a lock.
pub trait Token: Player {
    /// On a connection of its own: `from` where it arrives, `to` where it goes.
    fn connect(url: &str, from: String, to: String) -> impl Future<Output = Result<Self>> + Send
    where
        Self: Sized;
    fn pass(&mut self, turn: u64) -> impl Future<Output = Result<()>> + Send;
}

/// Instead of a turn's number: the game is over.
const STOP: u64 = 0;

/// How long a token may take to come, in seconds.
const PATIENCE: u64 = 20;
