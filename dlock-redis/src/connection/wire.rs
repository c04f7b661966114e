use async_trait::async_trait;
use redis::aio::ConnectionLike;
use redis::{Cmd, RedisResult, Value};

/// Whatever carries a command to the server and an answer back, for many callers at once.
#[async_trait]
pub(crate) trait Wire: Send + Sync + 'static {
    async fn request(&self, command: &Cmd) -> RedisResult<Value>;
}

#[async_trait]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> Wire for C {
    async fn request(&self, command: &Cmd) -> RedisResult<Value> {
        self.clone().req_packed_command(command).await
    }
}
