use std::sync::{Arc, Mutex, PoisonError};

use super::link::{Link, Live};
use super::session::ask;

/// Whether a connection is being probed, and whether doubts arose since the probe was sent.
#[derive(Debug, Default)]
pub(super) struct ProbeState(Mutex<Phase>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Idle,
    Probing,
    ProbeAgain,
}

impl Link {
    /// Asks, in the background, whether this connection still answers; retires it if not. One
    /// probe at a time, however many callers gave up.
    pub(super) fn probe(self: &Arc<Self>, live: &Arc<Live>) {
        if live.probe.begin() {
            let probe = Probe {
                link: self.clone(),
                live: live.clone(),
                over: false,
            };
            self.runtime.spawn(Box::pin(probe.run()));
        }
    }
}

/// The task that asks. When it is dropped early, because its runtime has ended, the next doubt
/// starts another.
struct Probe {
    link: Arc<Link>,
    live: Arc<Live>,
    over: bool,
}

impl Probe {
    async fn run(mut self) {
        while !self.over {
            let Self { link, live, .. } = &self;
            let answer = ask(
                &*live.wire,
                &*link.runtime,
                link.response_timeout,
                &redis::cmd("PING"),
            )
            .await;
            // Any answer, also a refusal, shows that the connection lives.
            if let Err(failure) = &answer
                && failure.breaks_connection()
            {
                return link.retire(live, failure);
            }
            self.over = live.probe.end();
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if !self.over {
            self.live.probe.abandon();
        }
    }
}

impl ProbeState {
    /// Whether the caller should start a probe.
    fn begin(&self) -> bool {
        let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = *phase == Phase::Idle;
        *phase = if idle {
            Phase::Probing
        } else {
            Phase::ProbeAgain
        };
        idle
    }

    /// Whether the probe is over; else it has to be sent again.
    fn end(&self) -> bool {
        let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = *phase == Phase::Probing;
        *phase = if over { Phase::Idle } else { Phase::Probing };
        over
    }

    fn abandon(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Idle;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_probe_at_a_time_and_none_forgotten() {
        let state = ProbeState::default();
        assert!(state.begin());
        assert!(!state.begin());
        assert!(!state.begin());
        assert!(!state.end(), "doubts arose after the probe was sent");
        assert!(state.end());
        assert!(state.begin());
    }
}
