//! What the scenarios' clients do, in the words of the scenarios.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use dlock_core::fence::Stamped;
use dlock_core::{Guard, LockBuilder};

use super::evidence::{Evidence, span};
use super::{Way, fault};
use crate::SimRedis;
use crate::broken::client::simple::Simple;
use crate::broken::store::plain_redis;
use crate::client::{Resource, SimClient};
use crate::faults::{Fault, FaultKind};
use crate::service::SimStore;

pub(super) const LOCK: &str = "invoice";

/// A client of a scenario, and what it protects.
pub(super) struct Actor {
    pub client: SimClient,
    pub data: Resource,
    way: Way,
}

impl Actor {
    pub fn new(client: SimClient, way: Way) -> Self {
        let data = client.resource(LOCK);
        Self { client, data, way }
    }

    pub async fn at(&self, ms: u64) {
        self.client.until(Duration::from_millis(ms)).await;
    }

    pub fn lock(&self) -> LockBuilder {
        self.client.locker().lock(LOCK).ttl(self.client.ttl())
    }

    /// The lock, whatever it takes.
    pub async fn acquire(&self) -> Option<Guard> {
        self.lock().acquire().await.ok()
    }

    /// Reads, behind the fence or not.
    pub async fn read(&self, guard: &impl Stamped) {
        let _ = match self.way.is_fenced() {
            true => self.data.claim(guard).await,
            false => self.data.read_unfenced().await,
        };
    }

    /// Writes, behind the fence or not, whether the lock is still ours or not.
    pub async fn write(&self, guard: &impl Stamped) {
        let value = self.client.name().to_owned();
        let _ = match self.way.is_fenced() {
            true => self.data.write(guard, value).await,
            false => self.data.write_unfenced(value).await,
        };
    }

    /// Whether the world is older than this: the client was started anew.
    pub fn is_past(&self, ms: u64) -> bool {
        self.until(ms).is_zero()
    }

    /// How long it is until then.
    pub fn until(&self, ms: u64) -> Duration {
        let now = Duration::from_nanos(self.client.machine().recorder().now_ns());
        Duration::from_millis(ms).saturating_sub(now)
    }

    /// Acquires at a time, reads and writes, and releases.
    pub async fn one_turn(&self, at_ms: u64) {
        self.at(at_ms).await;
        if let Some(guard) = self.acquire().await {
            self.read(&guard).await;
            self.write(&guard).await;
            let _ = guard.release().await;
        }
    }

    /// Acquires at a time and reads; goes on at another time, sure of its lock, and writes.
    pub async fn long_turn(&self, at_ms: u64, write_at_ms: u64) {
        self.at(at_ms).await;
        if let Some(guard) = self.acquire().await {
            self.read(&guard).await;
            self.at(write_at_ms).await;
            if guard.check().is_ok() {
                self.write(&guard).await;
            }
            let _ = guard.release().await;
        }
    }
}

/// A client that reaches no member of etcd for a while.
pub(super) fn cut_off_from_etcd(client: &str, at_ms: u64, for_ms: u64) -> Vec<Fault> {
    let cut = |member: usize| FaultKind::Partition {
        a: client.to_owned(),
        b: format!("etcd-{member}"),
    };
    (1..=3)
        .map(|member| fault(at_ms, for_ms, cut(member)))
        .collect()
}

/// The take plays on the real store.
pub(super) fn the_real_store(_: Way) -> Option<Arc<dyn SimStore>> {
    None
}

/// An outcome: somebody wrote after a newer token had been there, and nobody stopped it.
pub(super) fn stale_write_accepted(evidence: &Evidence<'_>) -> Result<String, String> {
    let accesses = evidence.accesses();
    let writes = evidence.writes();
    let stale = writes.iter().find_map(|write| {
        let newer = accesses.iter().find(|other| {
            other.accepted
                && other.seq < write.seq
                && other.by != write.by
                && other.token > write.token
        });
        Some((write, newer?))
    });
    let (write, newer) = stale.ok_or("no stale write was accepted")?;
    Ok(format!(
        "{} wrote to `{}` {}; nothing stopped it, and what {} did under its newer token is overwritten.",
        upper(write.by),
        write.resource,
        after_the_loss(evidence, write.attempt, write.t_ns),
        upper(newer.by),
    ))
}

/// An outcome: the fence refused a token below the newest.
pub(super) fn stale_write_refused(evidence: &Evidence<'_>) -> Result<String, String> {
    let refused = evidence.refused();
    let stale = refused.iter().find(|access| access.token < access.newest);
    let stale = stale.ok_or("the fence refused no older token")?;
    Ok(format!(
        "{} reached for `{}` {}; storage rejected its token {}, because {} had claimed.",
        upper(stale.by),
        stale.resource,
        after_the_loss(evidence, stale.attempt, stale.t_ns),
        evidence.token(stale.token),
        evidence.token(stale.newest),
    ))
}

/// An outcome: two clients believed in the same lock at once.
pub(super) fn two_holders(evidence: &Evidence<'_>) -> Result<String, String> {
    let (first, second, ns) = evidence
        .overlap()
        .ok_or("no two clients believed at once")?;
    Ok(format!(
        "{} and {} both believed that they held the lock, for {}.",
        upper(first),
        upper(second),
        span(ns)
    ))
}

fn after_the_loss(evidence: &Evidence<'_>, attempt: Option<&str>, t_ns: u64) -> String {
    let ended = attempt.and_then(|attempt| evidence.authority_ended(attempt));
    match ended {
        Some((ended, _)) if ended <= t_ns => {
            format!("{} after it had lost the lock", span(t_ns - ended))
        }
        _ => "while another held the lock, too".to_owned(),
    }
}

/// As people are named in the pictures: `C1` of `c1`.
pub(super) fn upper(node: &str) -> String {
    node.to_uppercase()
}

/// A lock that was written by hand, over one Redis.
pub(super) fn hand_written(flaw: plain_redis::Flaw) -> Arc<dyn SimStore> {
    Arc::new(plain_redis::plain(SimRedis::single(), flaw, false))
}

/// As `Actor::long_turn`, with a simple locker.
pub(super) async fn simple_turn(actor: &Actor, simple: &Simple, at_ms: u64, write_at_ms: u64) {
    actor.at(at_ms).await;
    let Some(guard) = simple.acquire(LOCK, None).await else {
        return;
    };
    actor.read(&guard).await;
    actor.at(write_at_ms).await;
    if guard.check() {
        actor.write(&guard).await;
    }
    let _ = guard.release().await;
}

/// What comes of it if it is polled so often at most. Then it is left alone for the time that a message needs, and
/// dropped.
pub(super) async fn polled<T>(
    client: &SimClient,
    times: u32,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut polls = 0;
    let outcome = poll_fn(|cx| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if polls == times => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    let outcome = outcome.await;
    if outcome.is_none() {
        client.sleep(Duration::from_millis(2)).await;
    }
    outcome
}

/// For how long the lock had been free when this client was first granted it.
pub(super) fn free_before(evidence: &Evidence<'_>, node: &str) -> Result<u64, String> {
    let granted = evidence.grants(node);
    let granted = granted
        .first()
        .ok_or_else(|| format!("{} did not get the lock", upper(node)))?;
    let before = evidence.lock_ends();
    let freed = before.iter().rfind(|freed| **freed <= granted.t_ns);
    let freed = freed.ok_or_else(|| format!("nobody had the lock before {}", upper(node)))?;
    Ok(granted.t_ns - freed)
}

/// The newest tokens of C1 and of C2.
pub(super) fn last_tokens(evidence: &Evidence<'_>) -> Result<(u64, u64), String> {
    let newest = |node: &str| {
        let grants = evidence.grants(node);
        let grant = grants.last();
        grant
            .map(|grant| grant.token)
            .ok_or_else(|| format!("{} did not get the lock", upper(node)))
    };
    Ok((newest("c1")?, newest("c2")?))
}

/// An outcome: the later holder, C2, has a lower token, and nothing stopped its write.
pub(super) fn lower_token_accepted(evidence: &Evidence<'_>) -> Result<String, String> {
    let tokens = fallen_tokens(evidence)?;
    let writes = evidence.writes();
    if !writes.iter().any(|write| write.by == "c2") {
        return Err("C2 did not write".to_owned());
    }
    Ok(format!(
        "{tokens}; without a fence nobody noticed, for C1 was done."
    ))
}

/// An outcome: the later holder, C2, has a lower token, and the fence takes it for a stale one.
pub(super) fn lower_token_refused(evidence: &Evidence<'_>) -> Result<String, String> {
    let tokens = fallen_tokens(evidence)?;
    let refused = evidence.refused();
    if !refused.iter().any(|access| access.by == "c2")
        || refused.iter().any(|access| access.by != "c2")
    {
        return Err("the fence did not refuse C2 alone".to_owned());
    }
    Ok(format!(
        "{tokens}; storage rejected C2, although it held the lock: nothing is overwritten, and nothing is done until somebody repairs it."
    ))
}

fn fallen_tokens(evidence: &Evidence<'_>) -> Result<String, String> {
    let (old, new) = last_tokens(evidence)?;
    if new >= old {
        return Err(format!("C2's token {new} is not below C1's {old}"));
    }
    let [old, new] = [old, new].map(|token| evidence.token(Some(token)));
    Ok(format!("C2 was given token {new}, below C1's {old}"))
}
