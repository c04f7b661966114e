//! A lock as many write it by hand: `SET NX PX`, compare and delete, a token beside it; waiters poll. Sound without a
//! flaw.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Expiry, Fairness, Granted, HeldBy, Inspection,
    LockStore, Release, Released, Renewal, Renewed, StoreError,
};
use dlock_core::{FencingToken, Grant, LockName};
use dlock_redis::redis::{Value, cmd};

use super::raw_redis::{RawRedis, counter_key, lock_key};
use super::{Found, OtherClient};
use crate::SimRedis;
use crate::service::{Service, SimStore};
use crate::stores::redis::Servers;
use crate::world::{Machine, WallClock, World};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    /// `SETNX`, and `EXPIRE` in a request of its own.
    ExpiresApart,
    /// The token is what the client's wall clock shows.
    ClockToken,
    /// The token comes from a bare `INCR`.
    CounterToken,
    /// A renewal compares the attempt's id only.
    RenewsById,
    /// A renewal sets the time that is left, also to less than it was.
    RenewalShortens,
    /// A release compares the attempt's id only. It has a connection of its own, as from a pool.
    ReleasesById,
    /// The lock is written before the counter is counted up.
    LockBeforeCounter,
    /// Waiters queue, and the first of them has the right to the lock whether it lives or not.
    WaitsForTheHead,
}

/// How far a client's wall clock may be off, in µs: what a machine without NTP has after some days.
const SKEW_US: i64 = 1_000_000;

/// These servers with such clients. With `duplicates` the network brings every attempt once more, later.
pub(crate) fn plain(real: SimRedis, flaw: Flaw, duplicates: bool) -> OtherClient {
    clients(real, flaw, duplicates, false)
}

/// The same, as it is used every day: what was answered counts as done.
pub(crate) fn simple(real: SimRedis, flaw: Flaw) -> OtherClient {
    clients(real, flaw, false, true)
}

fn clients(real: SimRedis, flaw: Flaw, duplicates: bool, settles: bool) -> OtherClient {
    let mut capabilities = real.capabilities();
    capabilities.fairness = Fairness::None;
    capabilities.push = false;
    OtherClient {
        capabilities: capabilities.clone(),
        real: Arc::new(real.clone()),
        found: Box::new(move |world: &mut World, verbose| {
            let servers = Arc::new(real.found_servers(world, verbose));
            let capabilities = capabilities.clone();
            Found {
                service: servers.clone() as Arc<dyn Service>,
                connect: Box::new(move |machine: &Arc<Machine>| {
                    let plain = Plain::new(&servers, machine, capabilities.clone(), flaw);
                    let late = || Arc::new(RawRedis::new(servers.connector(machine), machine));
                    let releases = (flaw == Flaw::ReleasesById)
                        .then(|| opened(RawRedis::new(servers.connector(machine), machine)));
                    Arc::new(Plain {
                        releases,
                        duplicates: duplicates.then(late),
                        settles,
                        ..plain
                    })
                }),
            }
        }),
    }
}

pub(super) struct Plain {
    pub redis: RawRedis,
    releases: Option<Arc<RawRedis>>,
    /// The connection of the duplicates.
    duplicates: Option<Arc<RawRedis>>,
    machine: Arc<Machine>,
    skew_us: i64,
    capabilities: Capabilities,
    flaw: Flaw,
    /// Whether the answer to a release is taken for the end of the matter.
    settles: bool,
}

/// KEYS lock, counter; ARGV id, TTL in ms or 0 for none, the client's token or ''.
fn attempt_script(flaw: Flaw) -> String {
    let token = match flaw {
        Flaw::ClockToken => "local token = ARGV[3]",
        Flaw::CounterToken => "local token = redis.call('INCR', KEYS[2])",
        Flaw::LockBeforeCounter => {
            "local time = redis.call('TIME')
             local token = string.format('%.0f', time[1] * 1000000 + time[2])
             redis.call('SET', KEYS[1], own .. token .. ':', 'PX', ARGV[2])
             redis.call('INCR', KEYS[2])"
        }
        _ => {
            "local time = redis.call('TIME')
             local newest = tonumber(redis.call('GET', KEYS[2]) or '0')
             local token = math.max(newest + 1, time[1] * 1000000 + time[2])
             token = string.format('%.0f', token)
             redis.call('SET', KEYS[2], token)"
        }
    };
    let line = match flaw {
        Flaw::WaitsForTheHead => LINE,
        _ => "",
    };
    format!(
        "{line}
         local value = redis.call('GET', KEYS[1])
         local own = 'dlock1:' .. ARGV[1] .. ':'
         if value then
           if string.sub(value, 1, #own) == own then
             return {{'earlier', string.match(value, '^(%d+):', #own + 1)}}
           end
           return {{'busy', redis.call('PTTL', KEYS[1])}}
         end
         {token}
         if ARGV[2] == '0' then
           redis.call('SET', KEYS[1], own .. token .. ':')
         else
           redis.call('SET', KEYS[1], own .. token .. ':', 'PX', ARGV[2])
         end
         return {{'granted', tostring(token)}}"
    )
}

/// KEYS lock, counter, line. Whoever is not the first gets in line.
const LINE: &str = "
    local own = 'dlock1:' .. ARGV[1] .. ':'
    local mine = string.sub(redis.call('GET', KEYS[1]) or '', 1, #own) == own
    local head = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
    local free = redis.call('EXISTS', KEYS[1]) == 0
    if not mine and not (free and (not head or head == ARGV[1])) then
      if not redis.call('ZSCORE', KEYS[3], ARGV[1]) then
        local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')
        redis.call('ZADD', KEYS[3], (tonumber(last[2]) or 0) + 1, ARGV[1])
      end
      return {'busy', redis.call('PTTL', KEYS[1])}
    end
    redis.call('ZREM', KEYS[3], ARGV[1])";

/// KEYS lock; ARGV whose it must be, TTL in ms.
const RENEW: &str = "
    local value = redis.call('GET', KEYS[1])
    if not value or string.sub(value, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
    if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
    return 1";

/// The same, and may cut what a later request has set.
const RENEW_OR_SHORTEN: &str = "
    local value = redis.call('GET', KEYS[1])
    if not value or string.sub(value, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
    return redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// KEYS lock; ARGV whose it must be.
const RELEASE: &str = "
    local value = redis.call('GET', KEYS[1])
    if not value or string.sub(value, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
    return redis.call('DEL', KEYS[1])";

impl Plain {
    pub fn new(
        servers: &Servers,
        machine: &Arc<Machine>,
        capabilities: Capabilities,
        flaw: Flaw,
    ) -> Self {
        let skew = machine.random() % (2 * SKEW_US as u64);
        Self {
            redis: RawRedis::new(servers.connector(machine), machine),
            releases: None,
            duplicates: None,
            machine: machine.clone(),
            skew_us: skew as i64 - SKEW_US,
            capabilities,
            flaw,
            settles: false,
        }
    }

    async fn take(&self, request: &AttemptRequest) -> Result<Value, StoreError> {
        let ttl = request.ttl.as_millis().to_string();
        let clock = i128::from(self.machine.recorder().now_ns()) / 1000;
        let clock = WallClock::BEGINNING_US as i128 + clock + i128::from(self.skew_us);
        let keys = [
            lock_key(&request.name),
            counter_key(&request.name),
            line_key(&request.name),
        ];
        let apart = self.flaw == Flaw::ExpiresApart;
        let arguments = [
            request.id.expose(),
            if apart { "0".to_owned() } else { ttl.clone() },
            clock.to_string(),
        ];
        let script = attempt_script(self.flaw);
        if let Some(late) = self.duplicates.clone() {
            let (script, keys, arguments) = (script.clone(), keys.clone(), arguments.clone());
            let runtime = self.redis.runtime();
            let delay = runtime.random() % (2 * nanos_of(request.ttl));
            let again = async move {
                late.runtime().sleep(Duration::from_nanos(delay)).await;
                let _ = late.eval(&script, &keys, &arguments).await;
            };
            runtime.spawn(Box::pin(again));
        }
        let answer = self.redis.eval(&script, &keys, &arguments).await?;
        if apart && word(&answer, 0).as_deref() == Some("granted") {
            let mut expire = cmd("PEXPIRE");
            expire.arg(&keys[0]).arg(ttl);
            self.redis.run(&expire).await?;
        }
        Ok(answer)
    }
}

#[async_trait]
impl LockStore for Plain {
    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let answer = self.take(request).await?;
        let token = || FencingToken::new(word(&answer, 1)?.parse().ok()?);
        let granted = |expiry| {
            let token = token().ok_or_else(|| StoreError::indeterminate("no token"))?;
            let grant = Grant {
                id: request.id,
                token,
            };
            Ok(Attempt::Granted(Granted { grant, expiry }))
        };
        match word(&answer, 0).as_deref() {
            Some("granted") => granted(Expiry::ByThisCall),
            Some("earlier") => granted(Expiry::ByEarlierCall),
            _ => {
                let left = word(&answer, 1).and_then(|left| left.parse().ok());
                Ok(Attempt::Busy {
                    held_by: HeldBy::new(None, left.map(Duration::from_millis)),
                    place: None,
                })
            }
        }
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        let mut answers = Vec::new();
        for renewal in batch {
            let own = match self.flaw {
                Flaw::RenewsById => of_attempt(&renewal.grant.id.expose()),
                _ => of_grant(&renewal.grant),
            };
            let arguments = [own, renewal.ttl.as_millis().to_string()];
            let script = match self.flaw {
                Flaw::RenewalShortens => RENEW_OR_SHORTEN,
                _ => RENEW,
            };
            let answer = self
                .redis
                .eval(script, &[lock_key(&renewal.name)], &arguments)
                .await;
            answers.push(answer.map(|answer| match answer {
                Value::Int(1) => Renewed::Until(Expiry::ByThisCall),
                _ => Renewed::NotOwner,
            }));
        }
        answers
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        let own = match release {
            Release::Grant(grant, _) if self.flaw != Flaw::ReleasesById => of_grant(grant),
            Release::Grant(grant, _) => of_attempt(&grant.id.expose()),
            Release::Attempt(id, _) => of_attempt(&id.expose()),
        };
        let redis = self.releases.as_deref().unwrap_or(&self.redis);
        let answer = redis.eval(RELEASE, &[lock_key(name)], &[own]).await?;
        Ok(Released {
            removed: answer == Value::Int(1),
            settled: self.settles,
        })
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        let answer = self.redis.run(cmd("GET").arg(lock_key(name))).await?;
        Ok((answer != Value::Nil).then(Inspection::default))
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        let answer = self.redis.run(cmd("DEL").arg(lock_key(name))).await?;
        Ok(answer == Value::Int(1))
    }
}

pub(crate) fn of_grant(grant: &Grant) -> String {
    format!("dlock1:{}:{}:", grant.id.expose(), grant.token)
}

pub(crate) fn of_attempt(id: &str) -> String {
    format!("dlock1:{id}:")
}

/// A connection that is there before it is needed.
fn opened(redis: RawRedis) -> Arc<RawRedis> {
    let redis = Arc::new(redis);
    let opening = redis.clone();
    redis.runtime().spawn(Box::pin(async move {
        let _ = opening.run(&cmd("PING")).await;
    }));
    redis
}

fn nanos_of(duration: Duration) -> u64 {
    crate::world::nanos(duration).max(1)
}

/// Where those who wait stand in line.
pub(super) fn line_key(name: &LockName) -> String {
    let lock = lock_key(name);
    format!("{{{lock}}}dlock:line:{lock}")
}

/// A word of an answer.
fn word(answer: &Value, index: usize) -> Option<String> {
    let Value::Array(words) = answer else {
        return None;
    };
    match words.get(index)? {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}
