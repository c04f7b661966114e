use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dlock_core::Grant;
use dlock_core::runtime::{race, sleep_until};
use redis::Value;
use tokio::sync::oneshot;

use super::Waiting;
use crate::connection::failure::Meaning;
use crate::connection::{Failure, Flight, Session};
use crate::trail::Sending;

/// How long a release waits to be taken along, and then to be answered, before it looks after itself:
/// who waits in its place asks at once, unless its task is stuck or its future is not polled.
const PATIENCE: Duration = Duration::from_millis(10);

/// A release that the next in line takes along when it asks: one request hands the lock over.
pub(crate) struct Parcel {
    pub grant: Grant,
    carried: Arc<Slot>,
    /// Dropped with the parcel, when all is over.
    _over: oneshot::Sender<()>,
}

/// The request that takes it along, or `None`: it goes by itself. Whoever is first decides.
type Slot = OnceLock<Option<Carried>>;

/// The request with both of them. Either side can poll it, so it is sent and answered even if the
/// other goes away.
#[derive(Clone)]
pub(crate) struct Carried {
    pub flight: Flight,
    pub session: Session,
}

impl Parcel {
    /// Whether it goes with this request; else nothing of that must be sent. The releaser is not
    /// woken before the parcel is dropped: it is the next one's turn.
    pub fn goes_with(&self, carried: Carried) -> bool {
        self.carried.set(Some(carried)).is_ok()
    }
}

/// Such a request, as its attempt has it on record.
pub(crate) struct SharedSending {
    pub carried: Carried,
    pub sending: Sending,
}

impl SharedSending {
    /// Waits for the answer in place of an attempt that does so no more.
    pub async fn hear(self) {
        let Carried { flight, session } = &self.carried;
        let answer = session.answer(flight.clone()).await;
        self.heard(&answer);
    }

    pub fn heard(self, answer: &Result<Value, Failure>) {
        let Carried { flight, session } = self.carried;
        match answer {
            Err(failure) if failure.meaning() == Meaning::Indeterminate => {
                // Only when it is over will nobody send it any more.
                if flight.peek().is_some() {
                    self.sending.sent_over(session.generation());
                }
            }
            _ => self.sending.settled(),
        }
    }
}

/// A release that was left for the next in line; dropped, it is taken back.
pub(crate) struct Posted<'a> {
    waiting: &'a Waiting,
    lock: &'a str,
    grant: Grant,
    carried: Arc<Slot>,
    over: oneshot::Receiver<()>,
}

impl<'a> Posted<'a> {
    /// A parcel, and what its sender keeps of it.
    pub(super) fn new(waiting: &'a Waiting, lock: &'a str, grant: Grant) -> (Parcel, Self) {
        let carried = Arc::new(OnceLock::new());
        let (sender, over) = oneshot::channel();
        let parcel = Parcel {
            grant,
            carried: carried.clone(),
            _over: sender,
        };
        let posted = Self {
            waiting,
            lock,
            grant,
            carried,
            over,
        };
        (parcel, posted)
    }

    /// The request that has taken it along; nothing if none did.
    pub async fn carried(mut self) -> Option<Carried> {
        let runtime = &*self.waiting.runtime;
        let until = runtime.now() + PATIENCE;
        race(&mut self.over, sleep_until(runtime, until)).await;
        self.carried.get_or_init(|| None).clone()
    }

    #[cfg(test)]
    pub fn is_over(&mut self) -> bool {
        self.over.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }
}

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        self.waiting
            .with_line(self.lock, |line, _, _| line.take_back(self.grant));
    }
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parcel")
            .field("token", &self.grant.token)
            .finish_non_exhaustive()
    }
}
