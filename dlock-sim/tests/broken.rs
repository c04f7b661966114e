//! The checker is checked: every broken store and client is caught by name, and without its flaw the same plans hold.

use std::collections::BTreeSet;

use dlock_sim::Property;
use dlock_sim::broken::{Broken, measure_one, table};

/// Known to catch it within a few seeds from here.
fn first_seed(broken: Broken) -> u64 {
    match broken {
        Broken::DeadlineFromTxn => 1003,
        Broken::FenceAtWrite => 1012,
        Broken::NoDeadline => 3000,
        Broken::RenewalResurrects => 4000,
        Broken::RenewsById => 1000,
        _ => 0,
    }
}

const SEEDS: u64 = 10;

fn is_caught(broken: Broken) {
    let first = first_seed(broken);
    let Err(failure) = broken.run(first..first + SEEDS) else {
        panic!("{broken} passes");
    };
    let violated = failure.broken.iter().filter_map(|broken| broken.property);
    let violated: BTreeSet<Property> = violated.collect();
    let expected = broken.caught_by();
    assert!(
        expected.iter().any(|property| violated.contains(property)),
        "{broken} is caught by {violated:?}, not by one of {expected:?}:\n{failure}"
    );
    println!(
        "{broken}: seed {}, {violated:?}: {}",
        failure.seed, failure.broken[0].message
    );
    if let Err(failure) = broken.run_sound(first..=failure.seed) {
        panic!("{broken}, without its flaw: {failure}");
    }
}

macro_rules! caught {
    ($($test:ident: $broken:ident,)*) => {
        $(#[test] fn $test() { is_caught(Broken::$broken); })*

        #[test]
        fn none_is_forgotten() {
            let tested = [$(Broken::$broken),*];
            assert_eq!(tested, Broken::ALL);
        }
    };
}

caught! {
    release_without_compare: ReleaseWithoutCompare,
    release_of_all: ReleaseAll,
    setnx_and_expire_apart: ExpiresApart,
    wall_clock_token: ClockToken,
    token_reset_on_failover: CounterToken,
    renewal_after_expiry: RenewalResurrects,
    renewal_that_compares_the_id_only: RenewsById,
    dropped_wakeup: DroppedWakeup,
    grant_after_own_lease_died: OwnLeaseDied,
    deadline_from_a_txn_on_a_shared_lease: DeadlineFromTxn,
    deadline_from_the_reply: DeadlineFromReply,
    no_deadline: NoDeadline,
    orphan_on_cancel: OrphanOnCancel,
    drop_that_does_not_release: DropKeeps,
    fence_checked_only_at_the_write: FenceAtWrite,
    clock_that_does_not_count_suspend: ClockWithoutSuspend,
}

/// How soon each is caught: `cargo test -p dlock-sim --test broken -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes: it measures"]
fn how_soon_each_is_caught() {
    let rows: Vec<_> = Broken::ALL.into_iter().map(measure_one).collect();
    println!("{}", table(&rows));
}
