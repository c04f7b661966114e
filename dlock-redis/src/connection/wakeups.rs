use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use dlock_core::runtime::{Race, Runtime, race, timeout};
use redis::aio::{AsyncPushSender, SendError};
use redis::{PushInfo, PushKind, Value};
use tokio::sync::oneshot;

use super::failure::Meaning;
use super::session::ask;
use super::{ConnectFailure, Connector, Failure, Wire};
use crate::waiting::{Pushes, Waiting};

/// How often the link is asked whether it lives: a connection may be dead without anybody being told.
const IDLE: Duration = Duration::from_secs(10);

/// The same while somebody waits, who misses every turn until then.
const NEEDED: Duration = Duration::from_secs(2);

/// Until a server that refuses wakeups is asked again.
const REFUSED: Duration = Duration::from_secs(60);

const FIRST_BACKOFF: Duration = Duration::from_millis(25);
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// Where a connection puts the messages that the server pushes: give it to
/// `AsyncConnectionConfig::set_push_sender`.
#[derive(Clone)]
pub struct Wakeups(Arc<dyn Fn(PushInfo) + Send + Sync>);

impl AsyncPushSender for Wakeups {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        (self.0)(info);
        Ok(())
    }
}

impl fmt::Debug for Wakeups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wakeups")
    }
}

/// The connection over which wakeups come: opened when the first attempt waits, reopened for as
/// long as the store lives.
pub(crate) struct WakeupLink {
    connector: Arc<dyn Connector>,
    runtime: Arc<dyn Runtime>,
    connect_timeout: Duration,
    response_timeout: Duration,
    /// Dropping it ends the task that has the other half.
    running: Mutex<Option<oneshot::Sender<()>>>,
}

impl WakeupLink {
    pub fn new(
        connector: Arc<dyn Connector>,
        runtime: Arc<dyn Runtime>,
        connect_timeout: Duration,
        response_timeout: Duration,
    ) -> Self {
        Self {
            connector,
            runtime,
            connect_timeout,
            response_timeout,
            running: Mutex::default(),
        }
    }

    /// Sees to it that the link is open, or being opened.
    pub fn start(&self, waiting: &Arc<Waiting>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // The task may be gone with the runtime it ran on.
        if running.as_ref().is_some_and(|task| !task.is_closed()) {
            return;
        }
        let (alive, gone) = oneshot::channel();
        *running = Some(alive);
        drop(running);
        let listening = Listening {
            connector: self.connector.clone(),
            runtime: self.runtime.clone(),
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
            run: waiting.begin_pushes(),
            waiting: Arc::downgrade(waiting),
        };
        self.runtime.spawn(Box::pin(async move {
            race(listening.run(), gone).await;
        }));
    }

    pub fn close(&self) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// The task that keeps the link open.
struct Listening {
    connector: Arc<dyn Connector>,
    runtime: Arc<dyn Runtime>,
    connect_timeout: Duration,
    response_timeout: Duration,
    waiting: Weak<Waiting>,
    run: u64,
}

impl Listening {
    async fn run(self) {
        let (mut in_a_row, mut said) = (0_u32, false);
        loop {
            let (failure, worked) = self.once().await;
            self.tell(Pushes::No);
            let pause = if failure.meaning() == Meaning::Rejected {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(%failure, "the server refuses wakeups: waiting attempts poll instead");
                }
                in_a_row = 0;
                REFUSED
            } else {
                tracing::debug!(%failure, "no wakeups until the link is open again");
                in_a_row = if worked {
                    0
                } else {
                    in_a_row.saturating_add(1)
                };
                FIRST_BACKOFF
                    .saturating_mul(1 << in_a_row.min(10))
                    .min(LONGEST_BACKOFF)
            };
            dlock_core::runtime::sleep_until(&*self.runtime, self.runtime.now() + pause).await;
        }
    }

    /// One connection, from its opening to its end; and whether wakeups came over it.
    async fn once(&self) -> (Failure, bool) {
        let (sink, gone) = self.sink();
        let until = self.runtime.now() + self.connect_timeout;
        let opening = self.connector.connect_for_wakeups(sink);
        let connected = match timeout(&*self.runtime, until, opening).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => return (self.not_connected(ConnectFailure::Refused(error)), false),
            Err(_) => {
                let why = ConnectFailure::Timeout(self.connect_timeout);
                return (self.not_connected(why), false);
            }
        };
        let mut worked = false;
        let listening = self.listen(&connected.connection, gone, &mut worked);
        let failure = match connected.driver {
            Some(driver) => match race(listening, driver).await {
                Race::First(failure) => failure,
                Race::Second(()) => self.not_connected(ConnectFailure::Dropped),
            },
            None => listening.await,
        };
        (failure, worked)
    }

    async fn listen(
        &self,
        wire: &dyn Wire,
        mut gone: oneshot::Receiver<()>,
        worked: &mut bool,
    ) -> Failure {
        let Some(own) = self
            .waiting
            .upgrade()
            .map(|waiting| channel(waiting.participant()))
        else {
            return self.not_connected(ConnectFailure::Dropped);
        };
        for channel in [own, channel("all")] {
            let mut subscribe = redis::cmd("SUBSCRIBE");
            subscribe.arg(channel);
            if let Err(failure) = self.ask(wire, &subscribe).await {
                return failure;
            }
        }
        *worked = true;
        tracing::debug!("wakeups arrive");
        self.tell(Pushes::Yes);
        let mut alive_at = self.runtime.now();
        loop {
            let pause =
                dlock_core::runtime::sleep_until(&*self.runtime, self.runtime.now() + NEEDED);
            if let Race::First(_) = race(&mut gone, pause).await {
                return self.not_connected(ConnectFailure::Dropped);
            }
            let needed = self
                .waiting
                .upgrade()
                .is_some_and(|waiting| waiting.is_needed());
            if !needed && self.runtime.now() < alive_at + IDLE {
                continue;
            }
            if let Err(failure) = self.ask(wire, &redis::cmd("PING")).await {
                return failure;
            }
            alive_at = self.runtime.now();
        }
    }

    async fn ask(&self, wire: &dyn Wire, command: &redis::Cmd) -> Result<Value, Failure> {
        ask(wire, &*self.runtime, self.response_timeout, command).await
    }

    /// Where pushed messages go, and what tells of the connection's end.
    fn sink(&self) -> (Wakeups, oneshot::Receiver<()>) {
        let (open, gone) = oneshot::channel();
        let open = Mutex::new(Some(open));
        let waiting = self.waiting.clone();
        let sink = move |info: PushInfo| match info.kind {
            PushKind::Message => {
                if let (Some(waiting), Some((lock, delay))) = (waiting.upgrade(), hint(&info.data))
                {
                    waiting.hint(lock, delay);
                }
            }
            PushKind::Disconnection => {
                open.lock().unwrap_or_else(PoisonError::into_inner).take();
            }
            _ => {}
        };
        (Wakeups(Arc::new(sink)), gone)
    }

    fn not_connected(&self, why: ConnectFailure) -> Failure {
        Failure::NotConnected {
            address: self.connector.address(),
            why,
        }
    }

    fn tell(&self, pushes: Pushes) {
        if let Some(waiting) = self.waiting.upgrade() {
            waiting.set_pushes(self.run, pushes);
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.tell(Pushes::No);
    }
}

fn channel(participant: &str) -> String {
    format!("dlock:wakeup:{participant}")
}

/// `<ms>:<lock key>`
fn hint(data: &[Value]) -> Option<(&str, Duration)> {
    let [_, Value::BulkString(payload)] = data else {
        return None;
    };
    let (delay, lock) = std::str::from_utf8(payload).ok()?.split_once(':')?;
    Some((lock, Duration::from_millis(delay.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_which_lock_and_when() {
        let message = |payload: &[u8]| {
            [
                Value::BulkString(b"channel".to_vec()),
                Value::BulkString(payload.to_vec()),
            ]
        };
        let data = message(b"505:lock:a:b");
        assert_eq!(hint(&data), Some(("lock:a:b", Duration::from_millis(505))));
        for nonsense in [&b""[..], b"x:y", b"5", b"-1:a", b"\xff:a"] {
            assert_eq!(hint(&message(nonsense)), None, "{nonsense:?}");
        }
        assert_eq!(hint(&[]), None);
    }
}
