//! A lock whose waiters are told by a message when it is released, and do not look between being refused and listening.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dlock_core::runtime::{Runtime, timeout};
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Fairness, Inspection, LockStore, Place, Release,
    Released, Renewal, Renewed, StoreError,
};
use dlock_core::{AttemptId, Instant, LockName};
use dlock_redis::Connected;
use dlock_redis::redis::{
    AsyncConnectionConfig, ProtocolVersion, PushInfo, PushKind, RedisResult, Value, cmd,
};
use tokio::sync::mpsc;

use super::plain_redis::{Flaw, Plain, line_key, of_attempt, of_grant};
use super::raw_redis::lock_key;
use super::{Found, OtherClient};
use crate::SimRedis;
use crate::service::{Service, SimStore};
use crate::stores::redis::OverTheWorld;
use crate::world::{Machine, SimRuntime, World};

/// Who hears of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Everybody who listens; else waiters look when the lease that they saw is over.
    Everybody,
    /// The first in line, whether it lives or not. The others wait for their turn.
    TheHead,
}

/// This server with such clients.
pub(crate) fn by_message(real: SimRedis, told: Told) -> OtherClient {
    let mut capabilities = real.capabilities();
    capabilities.fairness = Fairness::None;
    OtherClient {
        capabilities: capabilities.clone(),
        real: Arc::new(real.clone()),
        found: Box::new(move |world: &mut World, verbose| {
            let servers = Arc::new(real.found_servers(world, verbose));
            let capabilities = capabilities.clone();
            Found {
                service: servers.clone() as Arc<dyn Service>,
                connect: Box::new(move |machine: &Arc<Machine>| {
                    let flaw = match told {
                        Told::Everybody => Flaw::None,
                        Told::TheHead => Flaw::WaitsForTheHead,
                    };
                    Arc::new(ByMessage {
                        plain: Plain::new(&servers, machine, capabilities.clone(), flaw),
                        way: Arc::new(servers.connector(machine)),
                        runtime: Arc::new(SimRuntime::of(machine)),
                        told,
                    })
                }),
            }
        }),
    }
}

struct ByMessage {
    plain: Plain,
    way: Arc<OverTheWorld>,
    runtime: Arc<dyn Runtime>,
    told: Told,
}

impl ByMessage {
    fn channel(&self, name: &LockName, id: AttemptId) -> String {
        match self.told {
            Told::Everybody => unlocked(name),
            Told::TheHead => turn_of(&id.expose()),
        }
    }

    /// Removes the lock, and says so to whoever is to hear of it.
    async fn let_go(&self, name: &LockName, own: String) -> Result<Released, StoreError> {
        let channel = match self.told {
            Told::Everybody => unlocked(name),
            Told::TheHead => String::new(),
        };
        let keys = [lock_key(name), line_key(name)];
        let answer = self
            .plain
            .redis
            .eval(LET_GO, &keys, &[own, channel])
            .await?;
        Ok(Released {
            removed: answer == Value::Int(1),
            settled: true,
        })
    }
}

/// KEYS lock, line; ARGV whose it must be, the channel or '' for that of the first in line.
const LET_GO: &str = "
    local value = redis.call('GET', KEYS[1])
    if not value or string.sub(value, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
    redis.call('DEL', KEYS[1])
    local head = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
    if ARGV[2] ~= '' then
      redis.call('PUBLISH', ARGV[2], '')
    elseif head then
      redis.call('PUBLISH', 'turn:' .. head, '')
    end
    return 1";

fn unlocked(name: &LockName) -> String {
    format!("unlocked:{name}")
}

fn turn_of(id: &str) -> String {
    format!("turn:{id}")
}

#[async_trait]
impl LockStore for ByMessage {
    fn capabilities(&self) -> Capabilities {
        self.plain.capabilities()
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let answer = self.plain.attempt(request).await?;
        let Attempt::Busy { held_by, .. } = answer else {
            return Ok(answer);
        };
        let left = match self.told {
            Told::Everybody => held_by.time_left,
            Told::TheHead => None,
        };
        let place = Listens {
            way: self.way.clone(),
            runtime: self.runtime.clone(),
            channel: self.channel(&request.name, request.id),
            until: left.map_or(Instant::FAR_FUTURE, |left| self.runtime.now() + left),
        };
        Ok(Attempt::Busy {
            held_by,
            place: Some(Box::new(place)),
        })
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        self.plain.renew(batch).await
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        match release {
            Release::Grant(grant, _) => self.let_go(name, of_grant(grant)).await,
            Release::Attempt(id, _) => {
                let id = id.expose();
                if self.told == Told::TheHead {
                    let mut leave = cmd("ZREM");
                    leave.arg(line_key(name)).arg(&id);
                    self.plain.redis.run(&leave).await?;
                }
                self.let_go(name, of_attempt(&id)).await
            }
        }
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        self.plain.inspect(name).await
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        self.plain.force_release(name).await
    }
}

/// Waits for a message, over a connection of its own.
struct Listens {
    way: Arc<OverTheWorld>,
    runtime: Arc<dyn Runtime>,
    channel: String,
    until: Instant,
}

impl Listens {
    async fn listen(&self) -> RedisResult<()> {
        let (sink, mut messages) = mpsc::unbounded_channel::<PushInfo>();
        let config = AsyncConnectionConfig::new().set_push_sender(sink);
        let Connected {
            mut connection,
            driver,
            ..
        } = self.way.open(ProtocolVersion::RESP3, config).await?;
        if let Some(driver) = driver {
            self.runtime.spawn(driver);
        }
        let mut subscribe = cmd("SUBSCRIBE");
        subscribe.arg(&self.channel);
        subscribe.query_async::<Value>(&mut connection).await?;
        while let Some(message) = messages.recv().await {
            if message.kind == PushKind::Message {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Place for Listens {
    async fn wait(&mut self) {
        let listening = timeout(&*self.runtime, self.until, self.listen()).await;
        if let Ok(Err(_)) = listening {
            self.runtime.sleep(Duration::from_millis(100)).await;
        }
    }
}

impl fmt::Debug for Listens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listens")
    }
}
