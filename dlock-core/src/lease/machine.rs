use std::time::Duration;

use super::Terms;
use crate::Instant;

/// The life of one lease after its grant, as a pure state machine: time, random bits and the
/// store's answers go in; what to do comes out.
///
/// ```text
///            renewal due              answered
///   resting ────────────► in flight ───────────► resting (deadline moved)
///      ▲                      │ failed: a pause with jitter
///      └──────────────────────┘
///   from anywhere: deadline passed, or the store says "not owner" ──► lost
/// ```
#[derive(Clone, Debug)]
pub struct LeaseMachine {
    terms: Terms,
    ttl: Duration,
    deadline: Instant,
    /// The send that the deadline counts from.
    renewed_from: Instant,
    renewal: Renewal,
    last_failure: Option<Failure>,
    failures: u32,
    loss: Option<Loss>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    Off,
    Due(Instant),
    InFlight,
}

/// What the shell has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing before this instant.
    Wait(Instant),
    /// Send a renewal with this TTL, and report what becomes of it.
    Renew(Duration),
    /// The lease is over.
    Lost(Loss),
}

/// Why a renewal brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The store was not reached, or did not answer.
    Unreachable,
    /// The store refused.
    Rejected,
}

/// Why a lease was lost, in the machine's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The deadline passed and no renewal had failed.
    Expired,
    /// The store says so.
    NotOwner,
    /// The deadline passed while the store did not answer.
    Unreachable,
    /// The deadline passed while the store refused.
    Rejected,
}

impl LeaseMachine {
    /// A lease whose expiry was set by a request sent at `sent_at`, with an effective `ttl`.
    pub fn new(terms: Terms, sent_at: Instant, ttl: Duration, renew: bool) -> Self {
        let mut machine = Self {
            terms,
            ttl,
            deadline: terms.deadline(sent_at, ttl),
            renewed_from: sent_at,
            renewal: Renewal::Off,
            last_failure: None,
            failures: 0,
            loss: None,
        };
        if renew {
            machine.renewal = Renewal::Due(machine.regular_renewal());
        }
        machine
    }

    /// The local instant at which we stop believing.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The TTL of later renewals.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// From when on the lease counts as suspended although no failure was reported yet (R15): two
    /// renewals should have been answered by then.
    pub fn overdue_at(&self) -> Instant {
        match self.renewal {
            Renewal::Off => Instant::FAR_FUTURE,
            _ => self.renewed_from + (self.ttl - self.ttl / 3),
        }
    }

    /// Whether the last renewal failed (R15).
    pub fn failing(&self) -> bool {
        self.last_failure.is_some()
    }

    /// When [`LeaseMachine::step`] has something to do next.
    pub fn next_look(&self) -> Instant {
        match self.renewal {
            Renewal::Due(at) => at.min(self.deadline),
            Renewal::InFlight | Renewal::Off => self.deadline,
        }
    }

    /// What to do at `now`. A renewal due within `early` is asked for now, so that leases which
    /// are due at nearly the same time share a batch.
    pub fn step(&mut self, now: Instant, early: Duration) -> Step {
        if let Some(loss) = self.loss {
            return Step::Lost(loss);
        }
        // R7: no network is needed to know that the time is over.
        if now >= self.deadline {
            let loss = match self.last_failure {
                Some(Failure::Unreachable) => Loss::Unreachable,
                Some(Failure::Rejected) => Loss::Rejected,
                // Sent, and never heard of again.
                None if self.renewal == Renewal::InFlight => Loss::Unreachable,
                None => Loss::Expired,
            };
            self.loss = Some(loss);
            return Step::Lost(loss);
        }
        match self.renewal {
            Renewal::Due(at) if at <= now + early => {
                self.renewal = Renewal::InFlight;
                Step::Renew(self.ttl)
            }
            _ => Step::Wait(self.next_look()),
        }
    }

    /// A renewal was answered: the lease lasts at least `ttl` from `sent_at`. A lease that was over
    /// by then is not revived, noticed or not (R6).
    pub fn renewed(&mut self, now: Instant, sent_at: Instant, ttl: Duration) {
        self.settle_renewal();
        if self.loss.is_some() || now >= self.deadline {
            return;
        }
        let deadline = self.terms.deadline(sent_at, ttl);
        // R6: an answer that is older than what we know shortens nothing.
        if deadline > self.deadline {
            self.deadline = deadline;
        }
        self.renewed_from = self.renewed_from.max(sent_at);
        self.last_failure = None;
        self.failures = 0;
        if self.renewal != Renewal::Off {
            self.renewal = Renewal::Due(self.regular_renewal());
        }
    }

    /// `ttl` is the grant's TTL from now on (`extend`); call before [`LeaseMachine::renewed`].
    pub fn set_ttl(&mut self, ttl: Duration) {
        self.ttl = ttl;
    }

    /// The store says that the grant does not hold the lock.
    pub fn not_owner(&mut self) {
        self.settle_renewal();
        self.loss.get_or_insert(Loss::NotOwner);
    }

    /// A renewal failed; another follows after a pause with jitter.
    pub fn failed(&mut self, now: Instant, failure: Failure, random: u64) {
        self.settle_renewal();
        self.last_failure = Some(failure);
        self.failures = self.failures.saturating_add(1);
        if self.renewal != Renewal::Off {
            self.renewal = Renewal::Due(now + self.pause(random));
        }
    }

    fn settle_renewal(&mut self) {
        if self.renewal == Renewal::InFlight {
            self.renewal = Renewal::Due(self.regular_renewal());
        }
    }

    /// A third of the TTL after the send that set it: two more tries fit before the deadline.
    fn regular_renewal(&self) -> Instant {
        self.renewed_from + self.ttl / 3
    }

    /// Between a half and the whole of: a hundredth of the TTL, doubled with every failure, at most
    /// a tenth of the TTL and 1 s.
    fn pause(&self, random: u64) -> Duration {
        let longest = (self.ttl / 10).min(Duration::from_secs(1));
        let step = (self.ttl / 100).max(Duration::from_millis(1));
        let whole = step.saturating_mul(1 << self.failures.min(10)).min(longest);
        whole / 2 + (whole / 2).mul_f64((random >> 11) as f64 / (1u64 << 53) as f64)
    }
}
