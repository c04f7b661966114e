use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::{FencingToken, OwnerLabel};

/// A look at a held lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspection {
    /// The holder's label; `None` for a foreign holder or one that gave none.
    pub label: Option<OwnerLabel>,
    /// The holder's token; `None` where it has none (on etcd a foreign holder has one, too).
    pub token: Option<FencingToken>,
    /// How long the lease lasts if it is not renewed; `None` when it has no end.
    pub time_left: Option<Duration>,
    /// How many attempts wait, where the store knows.
    pub waiters: Option<u64>,
}

/// What happened to a watched lock, whoever caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockEvent {
    /// Somebody holds the lock (also the first event, when it is held at the start).
    Locked {
        /// The holder's label, where known.
        label: Option<OwnerLabel>,
        /// The holder's token, where it has one.
        token: Option<FencingToken>,
    },
    /// The holder released the lock, or it was taken away.
    Unlocked,
    /// The holder's lease ran out.
    Expired,
}

/// Events of one lock name, in order. A reader too slow for every event sees the last state.
#[async_trait]
pub trait Watch: Send {
    /// The next event. Cancel-safe. After an error, call it again to go on.
    async fn next(&mut self) -> Result<LockEvent, StoreError>;
}
