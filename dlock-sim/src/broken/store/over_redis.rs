//! The real `dlock-redis` with one method replaced.

use std::sync::Arc;

use async_trait::async_trait;
use dlock_core::LockName;
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Expiry, Inspection, LockStore, Place, Release, Released,
    Renewal, Renewed, StoreError, Watch,
};
use dlock_redis::redis::{Value, cmd};

use super::plain_redis::of_grant;
use super::raw_redis::{RawRedis, lock_key};
use super::{Found, OtherClient};
use crate::SimRedis;
use crate::service::{Service, SimStore};
use crate::world::{Machine, World};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A release deletes the key, whoever's it is.
    ReleaseWithoutCompare,
    /// A release deletes all locks below the prefix.
    ReleaseAll,
    /// A renewal writes the key anew when it is gone.
    RenewalResurrects,
    /// Who waits is never told.
    DroppedWakeup,
}

/// These servers with such clients.
pub(crate) fn flawed(real: SimRedis, flaw: Flaw) -> OtherClient {
    OtherClient {
        capabilities: real.capabilities(),
        real: Arc::new(real.clone()),
        found: Box::new(move |world: &mut World, verbose| {
            let servers = Arc::new(real.found_servers(world, verbose));
            Found {
                service: servers.clone() as Arc<dyn Service>,
                connect: Box::new(move |machine: &Arc<Machine>| {
                    Arc::new(Flawed {
                        real: servers.connect(machine),
                        raw: RawRedis::new(servers.connector(machine), machine),
                        flaw,
                    })
                }),
            }
        }),
    }
}

struct Flawed {
    real: Arc<dyn LockStore>,
    raw: RawRedis,
    flaw: Flaw,
}

/// KEYS lock; ARGV the grant's value, TTL in ms.
const RESURRECT: &str = "
    local value = redis.call('GET', KEYS[1])
    if value and string.sub(value, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
    if not value then
      redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    elseif redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
      redis.call('PEXPIRE', KEYS[1], ARGV[2])
    end
    return 1";

/// ARGV a pattern.
const DELETE_ALL: &str = "
    local removed = 0
    for _, key in ipairs(redis.call('KEYS', ARGV[1])) do removed = removed + redis.call('DEL', key) end
    return removed";

impl Flawed {
    async fn resurrect(&self, renewal: &Renewal) -> Result<Renewed, StoreError> {
        let arguments = [
            of_grant(&renewal.grant),
            renewal.ttl.as_millis().to_string(),
        ];
        let keys = [lock_key(&renewal.name)];
        let answer = self.raw.eval(RESURRECT, &keys, &arguments).await?;
        Ok(match answer {
            Value::Int(1) => Renewed::Until(Expiry::ByThisCall),
            _ => Renewed::NotOwner,
        })
    }
}

#[async_trait]
impl LockStore for Flawed {
    fn capabilities(&self) -> Capabilities {
        self.real.capabilities()
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let answer = self.real.attempt(request).await?;
        Ok(match answer {
            Attempt::Busy {
                held_by,
                place: Some(place),
            } if self.flaw == Flaw::DroppedWakeup => Attempt::Busy {
                held_by,
                place: Some(Box::new(Deaf { _place: place })),
            },
            answer => answer,
        })
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        if self.flaw != Flaw::RenewalResurrects {
            return self.real.renew(batch).await;
        }
        let mut answers = Vec::new();
        for renewal in batch {
            answers.push(self.resurrect(renewal).await);
        }
        answers
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        let answer = match self.flaw {
            Flaw::ReleaseWithoutCompare => self.raw.run(cmd("DEL").arg(lock_key(name))).await?,
            Flaw::ReleaseAll => {
                let pattern = ["lock:*".to_owned()];
                self.raw.eval(DELETE_ALL, &[], &pattern).await?
            }
            _ => return self.real.release(name, release).await,
        };
        Ok(Released {
            removed: matches!(answer, Value::Int(removed) if removed > 0),
            settled: true,
        })
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        self.real.inspect(name).await
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        self.real.force_release(name).await
    }

    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        self.real.watch(name).await
    }

    async fn close(&self) {
        self.real.close().await;
    }
}

/// A place where nobody is told anything.
#[derive(Debug)]
struct Deaf {
    _place: Box<dyn Place>,
}

#[async_trait]
impl Place for Deaf {
    async fn wait(&mut self) {
        std::future::pending().await
    }
}
