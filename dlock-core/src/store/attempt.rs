use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::lease::LeaseCell;
use crate::{AttemptId, FencingToken, Grant, Instant, LockName, OwnerLabel};

/// One acquisition attempt, asked of the store as often as needed with the same id.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AttemptRequest {
    /// What to lock.
    pub name: LockName,
    /// The owner value.
    pub id: AttemptId,
    /// The effective TTL: within [`Capabilities::ttl`](super::Capabilities::ttl), already rounded.
    pub ttl: Duration,
    /// Text for people, stored beside the id.
    pub label: OwnerLabel,
    /// Whether the attempt may queue.
    pub mode: Mode,
    /// What the store wants to remember about this attempt.
    pub trail: Trail,
    /// For stores that learn of a loss by themselves (a watch on the own key).
    pub loss: LossSignal,
}

impl AttemptRequest {
    /// A request with an empty trail and nobody listening for a loss.
    pub fn new(name: LockName, id: AttemptId, ttl: Duration, mode: Mode) -> Self {
        Self {
            name,
            id,
            ttl,
            label: OwnerLabel::none(),
            mode,
            trail: Trail::default(),
            loss: LossSignal::unheard(),
        }
    }

    /// The same with this label.
    #[must_use]
    pub fn labelled(mut self, label: OwnerLabel) -> Self {
        self.label = label;
        self
    }

    pub(crate) fn reporting_to(mut self, cell: &Arc<LeaseCell>) -> Self {
        self.loss = LossSignal(Some(cell.clone()));
        self
    }
}

/// Whether an attempt may leave a queue entry behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Grant or nothing; also nothing when others are queued for the free lock.
    Try,
    /// Queue when the lock is held.
    Queue,
}

/// The store's answer to an attempt.
#[derive(Debug)]
#[non_exhaustive]
pub enum Attempt {
    /// The lock is ours.
    Granted(Granted),
    /// Somebody else holds the lock, or stands before us in the queue.
    Busy {
        /// Who holds it, as far as the store says.
        held_by: HeldBy,
        /// Where to wait. `None`: the store has no way to tell, the `Locker` polls with jitter.
        place: Option<Box<dyn Place>>,
    },
}

/// A grant and when its lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The grant.
    pub grant: Grant,
    /// From when the TTL counts.
    pub expiry: Expiry,
}

/// Which request set the expiry: the lease ends, at the store, no earlier than that request's
/// *sending* plus the TTL. The `Locker` takes the time of the call, so a store cannot count from
/// the reply by accident (R1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Surely this very call. Say so only when the answer proves it.
    ByThisCall,
    /// Perhaps an earlier call of the same attempt, whose answer was lost.
    ByEarlierCall,
    /// The store renews in its own way (etcd's keepalive): the send that was answered last.
    /// An instant after the call counts as the call.
    At(Instant),
}

/// Who holds a lock; everything is optional, because a foreign holder may say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldBy {
    /// The holder's label.
    pub label: Option<OwnerLabel>,
    /// How long the lease lasts at most if it is not renewed; `None`: unknown or without end.
    pub time_left: Option<Duration>,
}

impl HeldBy {
    /// A holder with this label and this much time left.
    pub fn new(label: Option<OwnerLabel>, time_left: Option<Duration>) -> Self {
        Self { label, time_left }
    }
}

/// A place to wait: the store's own best way (a predecessor's watch, a pushed message, a notify).
///
/// Holding a place holds nothing in the store: dropping it is free, and leaving the queue is
/// [`LockStore::release`](super::LockStore::release) by attempt id.
#[async_trait]
pub trait Place: Send + fmt::Debug {
    /// Returns when it is worth asking again. Only a hint: it may be early or wrong, and an error
    /// of the store shows at the next attempt. It must return within about 2 s of the lock
    /// becoming free for this attempt even if the wakeup was lost (R11). Cancel-safe.
    async fn wait(&mut self);
}

/// One number the store may leave with an attempt for its own later release of it (which
/// connection it went over, which lease it uses). Shared by all clones; starts empty.
#[derive(Clone, Debug, Default)]
pub struct Trail(Arc<AtomicU64>);

impl Trail {
    /// What was left; 0 when nothing was.
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Leaves a number.
    pub fn store(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
}

/// By which a store reports, at once and unasked, that a grant is gone.
#[derive(Clone)]
pub struct LossSignal(Option<Arc<LeaseCell>>);

impl LossSignal {
    /// A signal that nobody hears.
    pub fn unheard() -> Self {
        Self(None)
    }

    /// The grant with this token is no longer ours. Reporting it twice, early (before the grant
    /// was returned) or late (after its release) does no harm.
    pub fn not_owner(&self, token: FencingToken) {
        if let Some(cell) = &self.0 {
            cell.report_loss(token);
        }
    }
}

impl fmt::Debug for LossSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LossSignal")
    }
}
