use std::time::Duration;

/// What a store can promise, as data. Checked by the conformance kit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// A short name for reports: `memory`, `redis`, `etcd`.
    pub store: &'static str,
    /// Tokens rise with every grant of a name (R10). When `false`, they only tell two grants of
    /// one attempt apart, and must not be used as a fence.
    pub fencing: bool,
    /// In which order waiting attempts are granted.
    pub fairness: Fairness,
    /// Waiters are woken by the store; when `false` they poll.
    pub push: bool,
    /// Which TTLs the store can do.
    pub ttl: TtlSupport,
    /// The most renewals one [`renew`](super::LockStore::renew) takes.
    pub renewal_batch: usize,
    /// Without network trouble, how long after authority ended early (a key deleted by hand) the
    /// holder still believes: S8's δ. `None`: until its next renewal is answered.
    pub loss_notice: Option<Duration>,
    /// What holds under which fault. Pairs not listed are [`Promise::Guaranteed`].
    pub exceptions: &'static [(Property, FaultClass, Promise)],
}

impl Capabilities {
    /// Capabilities of the plainest store: no fencing, no fairness, no push, any TTL from 1 ms to
    /// 365 days, batches of 100, nothing excepted.
    pub const fn plain(store: &'static str) -> Self {
        Self {
            store,
            fencing: false,
            fairness: Fairness::None,
            push: false,
            ttl: TtlSupport {
                min: Duration::from_millis(1),
                max: Duration::from_secs(365 * 24 * 3600),
                granularity: Duration::from_millis(1),
                at_least: Duration::from_millis(1),
            },
            renewal_batch: 100,
            loss_notice: None,
            exceptions: &[],
        }
    }

    /// Tokens rise with every grant.
    #[must_use]
    pub const fn with_fencing(mut self) -> Self {
        self.fencing = true;
        self
    }

    /// Waiters are granted in this order.
    #[must_use]
    pub const fn with_fairness(mut self, fairness: Fairness) -> Self {
        self.fairness = fairness;
        self
    }

    /// Waiters are woken by the store.
    #[must_use]
    pub const fn with_push(mut self) -> Self {
        self.push = true;
        self
    }

    /// These TTLs.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: TtlSupport) -> Self {
        self.ttl = ttl;
        self
    }

    /// At most this many renewals in one call; 0 counts as 1.
    #[must_use]
    pub const fn with_renewal_batch(mut self, most: usize) -> Self {
        self.renewal_batch = most;
        self
    }

    /// The holder of a grant that ended early knows after this long.
    #[must_use]
    pub const fn with_loss_notice(mut self, delay: Duration) -> Self {
        self.loss_notice = Some(delay);
        self
    }

    /// What does not hold, or does not apply.
    #[must_use]
    pub const fn with_exceptions(
        mut self,
        exceptions: &'static [(Property, FaultClass, Promise)],
    ) -> Self {
        self.exceptions = exceptions;
        self
    }

    /// What is promised for a property under a class of faults.
    pub fn promise(&self, property: Property, fault: FaultClass) -> Promise {
        let listed = self
            .exceptions
            .iter()
            .find(|(p, f, _)| (*p, *f) == (property, fault));
        listed.map_or(Promise::Guaranteed, |(_, _, promise)| *promise)
    }
}

/// In which order waiting attempts are granted; among dlock's own clients only (R11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fairness {
    /// First in, first out over attempts.
    ByAttempt,
    /// First in, first out over store instances' turns, and within one; one grant a turn.
    ByParticipant,
    /// No order.
    None,
}

/// Which TTLs a store can do (R16). A TTL outside `min..=max` is refused before any I/O; one
/// inside is rounded up to `granularity` and raised to `at_least`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlSupport {
    /// The smallest TTL a caller may ask for.
    pub min: Duration,
    /// The largest TTL a caller may ask for.
    pub max: Duration,
    /// TTLs are multiples of this.
    pub granularity: Duration,
    /// The smallest TTL the store ever sets.
    pub at_least: Duration,
}

impl TtlSupport {
    /// What a requested TTL becomes; `None` outside the range.
    pub fn effective(&self, ttl: Duration) -> Option<Duration> {
        if ttl.is_zero() || ttl < self.min || ttl > self.max {
            return None;
        }
        let step = self.granularity.as_nanos().max(1);
        let nanos = ttl.as_nanos().div_ceil(step).saturating_mul(step);
        // Nobody's clock counts 584 years of nanoseconds.
        let rounded = Duration::from_nanos(u64::try_from(nanos).ok()?);
        Some(rounded.max(self.at_least))
    }
}

/// A safety property of the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Property {
    /// S1: believed intervals of one name do not overlap.
    BelievedExclusion,
    /// S2: authority intervals do not overlap.
    AuthorityExclusion,
    /// S3: no effect of a stale holder is accepted by a fence.
    NoStaleEffect,
    /// S4: tokens are unique and rise.
    TokensRise,
    /// S5: nobody ends, shortens or extends another's grant.
    OwnGrantOnly,
    /// S6: no authority without an attempt; an orphan lasts at most its TTL.
    NoPhantom,
    /// S7: the client's deadline is not after its authority's end.
    DeadlineBeforeExpiry,
    /// S8: early loss is noticed within the declared delay.
    LossNoticed,
}

/// A class of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FaultClass {
    /// Messages lost, delayed, duplicated; partitions.
    Network,
    /// A client that stops for longer than its TTL and goes on; also a suspended machine.
    ClientPause,
    /// A virtual machine whose clocks all stop.
    VmPause,
    /// A client's or server's clock runs fast or slow within the configured drift.
    ClockRate,
    /// The server's wall clock jumps.
    ServerClockStep,
    /// A server, or one member of several, stops for a while and goes on.
    ServerPause,
    /// The server restarts with its data.
    ServerRestart,
    /// The server restarts without (some of) its data, or a stale replica takes over.
    ServerLosesData,
    /// The server drops keys: eviction, `FLUSHALL`, an operator's delete.
    KeysDropped,
}

/// What a store promises for one property under one class of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Promise {
    /// It holds.
    Guaranteed,
    /// It can be violated; the named witness plan shows it.
    Violable(&'static str),
    /// The fault does not exist for this store.
    NotApplicable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_is_rounded_up_and_refused_outside_the_range() {
        let whole_seconds = TtlSupport {
            min: Duration::from_secs(1),
            max: Duration::from_secs(10),
            granularity: Duration::from_secs(1),
            at_least: Duration::from_secs(2),
        };
        let effective = |ms| {
            whole_seconds
                .effective(Duration::from_millis(ms))
                .map(|d| d.as_millis())
        };
        assert_eq!(effective(0), None);
        assert_eq!(effective(999), None);
        assert_eq!(effective(1000), Some(2000));
        assert_eq!(effective(2001), Some(3000));
        assert_eq!(effective(10_000), Some(10_000));
        assert_eq!(effective(10_001), None);
    }
}
