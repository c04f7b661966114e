use std::sync::Arc;
use std::time::Duration;

use dlock_core::LockName;
use dlock_core::runtime::{Runtime, timeout};
use dlock_core::store::StoreError;
use dlock_redis::redis::aio::MultiplexedConnection;
use dlock_redis::redis::{Cmd, RedisError, Value, cmd};
use dlock_redis::{Connected, Connector};
use tokio::sync::Mutex;

use crate::client::SimClient;
use crate::stores::redis::Direct;
use crate::world::{Machine, SimRuntime};

/// The longest that connecting, or one command, may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Redis without a library of ours: commands over the world's network.
pub(crate) struct RawRedis {
    way: Box<dyn Connector>,
    runtime: Arc<dyn Runtime>,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl RawRedis {
    pub fn new(way: impl Connector, machine: &Arc<Machine>) -> Self {
        Self {
            way: Box::new(way),
            runtime: Arc::new(SimRuntime::of(machine)),
            connection: Mutex::default(),
        }
    }

    /// From a client's machine to this server: what other programs do there.
    pub fn beside(client: &SimClient, server: &str) -> Self {
        let machine = client.machine();
        let way = Direct {
            machine: machine.clone(),
            server: server.to_owned(),
            verbose: client.is_verbose(),
        };
        Self::new(way, machine)
    }

    pub fn runtime(&self) -> Arc<dyn Runtime> {
        self.runtime.clone()
    }

    /// Runs a script.
    pub async fn eval(
        &self,
        script: &str,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Value, StoreError> {
        let mut command = cmd("EVAL");
        command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        self.run(&command).await
    }

    /// Runs a command.
    pub async fn run(&self, command: &Cmd) -> Result<Value, StoreError> {
        let connecting = timeout(&*self.runtime, self.runtime.now() + PATIENCE, self.open());
        let mut connection = match connecting.await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(StoreError::unavailable(error.to_string())),
            Err(_) => return Err(StoreError::unavailable("no connection in time")),
        };
        let answer = command.query_async::<Value>(&mut connection);
        let answer = match timeout(&*self.runtime, self.runtime.now() + PATIENCE, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                self.connection.lock().await.take();
                return Err(StoreError::indeterminate("no answer in time"));
            }
        };
        match answer {
            Ok(value) => Ok(value),
            Err(error) => {
                // Also what says so of a demoted primary: the next connection goes to the new one.
                self.connection.lock().await.take();
                Err(StoreError::indeterminate(error.to_string()))
            }
        }
    }

    async fn open(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot {
            return Ok(connection.clone());
        }
        let Connected {
            connection, driver, ..
        } = self.way.connect().await?;
        if let Some(driver) = driver {
            self.runtime.spawn(driver);
        }
        *slot = Some(connection.clone());
        Ok(connection)
    }
}

/// Where `dlock-redis` has the lock.
pub(crate) fn lock_key(name: &LockName) -> String {
    format!("lock:{name}")
}

/// Where `dlock-redis` counts its grants, of names without braces.
pub(crate) fn counter_key(name: &LockName) -> String {
    let lock = lock_key(name);
    format!("{{{lock}}}dlock:counter:{lock}")
}
