//! What the scenarios' clients do, in the words of the scenarios.

use std::time::Duration;

use dlock_core::{Guard, LockBuilder};

use super::{Fencing, fault};
use crate::client::{Resource, SimClient};
use crate::faults::{Fault, FaultKind};

pub(super) const LOCK: &str = "invoice";

/// A client of a scenario, and what it protects.
pub(super) struct Actor {
    pub client: SimClient,
    pub data: Resource,
    fencing: Fencing,
}

impl Actor {
    pub fn new(client: SimClient, fencing: Fencing) -> Self {
        let data = client.resource(LOCK);
        Self {
            client,
            data,
            fencing,
        }
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
    pub async fn read(&self, guard: &Guard) {
        let _ = match self.fencing {
            Fencing::Fenced => self.data.claim(guard).await,
            Fencing::Unfenced => self.data.read_unfenced().await,
        };
    }

    /// Writes, behind the fence or not, whether the lock is still ours or not.
    pub async fn write(&self, guard: &Guard) {
        let value = self.client.name().to_owned();
        let _ = match self.fencing {
            Fencing::Fenced => self.data.write(guard, value).await,
            Fencing::Unfenced => self.data.write_unfenced(value).await,
        };
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
