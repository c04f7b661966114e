//! What etcd promises, and under which faults it does not.

use std::time::Duration;

use dlock_core::store::{Capabilities, Fairness, FaultClass, Promise, Property, TtlSupport};

use Promise::{NotApplicable, Violable};

pub(crate) const CAPABILITIES: Capabilities = Capabilities::plain("etcd")
    .with_fencing()
    .with_fairness(Fairness::ByAttempt)
    .with_push()
    .with_ttl(TtlSupport {
        min: Duration::from_secs(1),
        max: Duration::from_secs(365 * 24 * 3600),
        granularity: Duration::from_secs(1),
        // etcd raises 1 s to this (three half election timeouts, rounded up).
        at_least: Duration::from_secs(2),
    })
    .with_renewal_batch(1000)
    // The watch on the own key opens 50 ms after the grant, and is followed by a read.
    .with_loss_notice(Duration::from_millis(250))
    .with_exceptions(EXCEPTIONS);

/// The witnesses are scenarios of the simulator.
const EXCEPTIONS: &[(Property, FaultClass, Promise)] = &[
    // An old leader that was stuck answers renewals of which the new one never hears, or wakes up and revokes leases
    // that the new one has renewed (etcd issue 15247): the holder believes until its deadline, or until its watch tells.
    (
        Property::BelievedExclusion,
        FaultClass::ServerPause,
        Violable("stale-etcd-leader-renews"),
    ),
    (
        Property::DeadlineBeforeExpiry,
        FaultClass::ServerPause,
        Violable("stale-etcd-leader"),
    ),
    // A cluster restored from a snapshot counts its revisions from there, unless `--bump-revision` is used.
    (
        Property::TokensRise,
        FaultClass::ServerLosesData,
        Violable("etcd-restore"),
    ),
    (
        Property::BelievedExclusion,
        FaultClass::ServerLosesData,
        Violable("etcd-restore"),
    ),
    (
        Property::DeadlineBeforeExpiry,
        FaultClass::ServerLosesData,
        Violable("etcd-restore"),
    ),
    // A new leader extends every lease to its TTL and an election more, also that of a dead client.
    (
        Property::NoPhantom,
        FaultClass::ServerPause,
        Violable("etcd-leader-extends"),
    ),
    (
        Property::NoPhantom,
        FaultClass::ServerRestart,
        Violable("etcd-leader-extends"),
    ),
    // What was released since the snapshot is back, under a lease that its owner may have in its pool.
    (
        Property::NoPhantom,
        FaultClass::ServerLosesData,
        Violable("etcd-restored-orphan"),
    ),
    // A key deleted by hand: its holder believes until its watch tells, or, cut off, until its deadline.
    (
        Property::BelievedExclusion,
        FaultClass::KeysDropped,
        Violable("deleted-key-unseen"),
    ),
    (
        Property::DeadlineBeforeExpiry,
        FaultClass::KeysDropped,
        Violable("deleted-key"),
    ),
    // etcd counts leases on a monotonic clock.
    (
        Property::BelievedExclusion,
        FaultClass::ServerClockStep,
        NotApplicable,
    ),
    (
        Property::DeadlineBeforeExpiry,
        FaultClass::ServerClockStep,
        NotApplicable,
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
