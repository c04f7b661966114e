use std::fmt;
use std::time::Duration;

use dlock_core::fence::Stamped;
use serde_json::Value;

use super::SimClient;
use super::link::Link;
use super::storage::{PORT, Refusal, Reply, Request};
use crate::trace::StorageAccess;

/// A protected resource on a machine of its own, reached over the world's network: one JSON value behind a fence.
///
/// The checker sees every access. Each method waits at most 2 s for the answer.
#[derive(Clone)]
pub struct Resource {
    client: SimClient,
    name: String,
    link: Link,
}

/// Why a resource did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// The fence refused: a newer token has claimed.
    #[error(
        "token {presented} is stale: {newest} has claimed; acquire the lock anew and start over"
    )]
    Stale {
        /// The token presented.
        presented: u64,
        /// The newest token that has claimed.
        newest: u64,
    },
    /// A write behind the fence without a claim by this grant before it.
    #[error("token {presented} has not claimed: call claim() before the first read")]
    Unclaimed {
        /// The token presented.
        presented: u64,
    },
    /// No answer came: it may or may not have been done.
    #[error("the resource did not answer: it may or may not have been done")]
    Unreachable,
}

impl Resource {
    pub(crate) fn new(client: SimClient, name: &str) -> Self {
        Self {
            client,
            name: name.to_owned(),
            link: Link::to(PORT),
        }
    }

    /// The same resource, with another time to wait for answers.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.link.patience = patience;
        self
    }

    /// Claims for this holder, before the first read: from here on older tokens are refused. Returns the value, null
    /// at first.
    pub async fn claim(&self, holder: &impl Stamped) -> Result<Value, ResourceError> {
        let request = self.fenced(holder, StorageAccess::Claim, Value::Null);
        self.ask(request).await
    }

    /// Writes, if this holder is the newest claimant.
    pub async fn write(
        &self,
        holder: &impl Stamped,
        value: impl Into<Value>,
    ) -> Result<(), ResourceError> {
        let request = self.fenced(holder, StorageAccess::Write, value.into());
        self.ask(request).await.map(|_| ())
    }

    /// Reads past the fence.
    pub async fn read_unfenced(&self) -> Result<Value, ResourceError> {
        self.ask(self.unfenced(StorageAccess::Read, Value::Null))
            .await
    }

    /// Writes past the fence: what stale holders do to each other.
    pub async fn write_unfenced(&self, value: impl Into<Value>) -> Result<(), ResourceError> {
        let request = self.unfenced(StorageAccess::Write, value.into());
        self.ask(request).await.map(|_| ())
    }

    fn fenced(&self, holder: &impl Stamped, access: StorageAccess, value: Value) -> Request {
        let stamp = holder.stamp();
        Request {
            resource: self.name.clone(),
            access,
            token: Some(stamp.token.value()),
            attempt: Some(stamp.grant.to_string()),
            fenced: true,
            value,
        }
    }

    fn unfenced(&self, access: StorageAccess, value: Value) -> Request {
        let holder = self.client.newest_grant();
        Request {
            resource: self.name.clone(),
            access,
            token: holder.as_ref().map(|holder| holder.token),
            attempt: holder.map(|holder| holder.attempt),
            fenced: false,
            value,
        }
    }

    async fn ask(&self, request: Request) -> Result<Value, ResourceError> {
        let presented = request.token.unwrap_or(0);
        let reply: Option<Reply> = self.link.ask(&self.client, &request).await;
        let Some(reply) = reply else {
            return Err(ResourceError::Unreachable);
        };
        match reply.refusal {
            None => Ok(reply.value),
            Some(Refusal::Unclaimed) => Err(ResourceError::Unclaimed { presented }),
            Some(_) => Err(ResourceError::Stale {
                presented,
                newest: reply.newest.unwrap_or(0),
            }),
        }
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("client", &self.client.name())
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
