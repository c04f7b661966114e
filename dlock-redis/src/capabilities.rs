//! What this store promises, and under which faults it does not.

use std::time::Duration;

use dlock_core::store::{Capabilities, Fairness, FaultClass, Promise, Property, TtlSupport};

use Promise::Violable;

/// Tokens rise with every grant; waiters queue by store instance.
const POLLING: Capabilities = Capabilities::plain("redis")
    .with_fencing()
    .with_ttl(TtlSupport {
        // Below this a round trip may take all of it.
        min: Duration::from_millis(10),
        max: Duration::from_secs(365 * 24 * 3600),
        granularity: Duration::from_millis(1),
        at_least: Duration::from_millis(10),
    })
    .with_renewal_batch(RENEWAL_BATCH)
    .with_fairness(Fairness::ByParticipant)
    .with_exceptions(EXCEPTIONS);

/// What a store declares that has a link for wakeups, or none.
pub(crate) const fn capabilities(pushed: bool) -> Capabilities {
    if pushed { POLLING.with_push() } else { POLLING }
}

/// How many leases one script renews.
pub(crate) const RENEWAL_BATCH: usize = 100;

/// The witnesses are scenarios of the simulator. A fence is not in here: it is as durable as the
/// data it protects.
const EXCEPTIONS: &[(Property, FaultClass, Promise)] = &[
    // The key is gone and its holder believes in it: two holders, told apart by their tokens.
    (
        Property::BelievedExclusion,
        FaultClass::ServerLosesData,
        Violable("replica-loss"),
    ),
    (
        Property::DeadlineBeforeExpiry,
        FaultClass::ServerLosesData,
        Violable("replica-loss"),
    ),
    (
        Property::AuthorityExclusion,
        FaultClass::ServerLosesData,
        Violable("split-brain-primary"),
    ),
    (
        Property::BelievedExclusion,
        FaultClass::KeysDropped,
        Violable("evicted"),
    ),
    (
        Property::DeadlineBeforeExpiry,
        FaultClass::KeysDropped,
        Violable("evicted"),
    ),
    // An expiry is an instant of the server's wall clock: a step forward ends leases early, …
    (
        Property::BelievedExclusion,
        FaultClass::ServerClockStep,
        Violable("server-clock-forward"),
    ),
    (
        Property::DeadlineBeforeExpiry,
        FaultClass::ServerClockStep,
        Violable("server-clock-forward"),
    ),
    // … a step back lets an orphan outlive its TTL.
    (
        Property::NoPhantom,
        FaultClass::ServerClockStep,
        Violable("server-clock-back"),
    ),
    // Tokens rise by the counter while it lives, by the clock when it was lost. They fall when a
    // lost counter was ahead of the clock that takes over, or when the clock steps back by more
    // than the counter's retention after the counter has expired.
    (
        Property::TokensRise,
        FaultClass::ServerLosesData,
        Violable("replica-clock-behind"),
    ),
    (
        Property::TokensRise,
        FaultClass::ServerClockStep,
        Violable("server-clock-back-past-retention"),
    ),
    // No clock of the guest counts the pause.
    (
        Property::BelievedExclusion,
        FaultClass::VmPause,
        Violable("vm-pause"),
    ),
    (
        Property::DeadlineBeforeExpiry,
        FaultClass::VmPause,
        Violable("vm-pause"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pair_is_listed_twice() {
        for (index, (property, fault, _)) in EXCEPTIONS.iter().enumerate() {
            assert!(
                !EXCEPTIONS[..index]
                    .iter()
                    .any(|(p, f, _)| (p, f) == (property, fault)),
                "{property:?} {fault:?}"
            );
        }
    }
}
