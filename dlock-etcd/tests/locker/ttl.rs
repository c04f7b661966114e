//! R16: what etcd cannot do is refused before any I/O; what it rounds shows on the guard.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use dlock_core::{AcquireError, InvalidRequest, LeaseError, Locker};
use dlock_etcd::EtcdStore;

use crate::support::{PATIENCE, entries, etcd, nobody, raw, skip, unique, within};
use crate::{SECOND, acquire, locker};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn is_out_of_range(refused: &InvalidRequest, ttl: Duration) {
    let expected = InvalidRequest::TtlOutOfRange {
        ttl,
        min: SECOND,
        max: 365 * DAY,
    };
    assert_eq!(*refused, expected);
}

#[tokio::test]
async fn a_ttl_that_etcd_cannot_do_is_refused_before_any_io() {
    let store = EtcdStore::builder().endpoints([nobody()]).lazy().unwrap();
    let locker = Locker::new(store);
    for ttl in [
        Duration::ZERO,
        SECOND / 2,
        SECOND - Duration::from_nanos(1),
        366 * DAY,
    ] {
        for error in [
            locker.lock("a").ttl(ttl).acquire().await.unwrap_err(),
            locker.lock("a").ttl(ttl).try_acquire().await.unwrap_err(),
        ] {
            let AcquireError::InvalidRequest(refused) = error else {
                panic!("{ttl:?}: {error:?}");
            };
            is_out_of_range(&refused, ttl);
        }
    }
    // What is in range gets as far as the dead endpoint.
    for ttl in [SECOND, 365 * DAY] {
        let error = locker.lock("a").ttl(ttl).try_acquire().await.unwrap_err();
        assert!(
            matches!(error, AcquireError::Store { .. }),
            "{ttl:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn the_guard_and_etcd_have_the_same_ttl() {
    let Some(endpoint) = etcd() else {
        return skip("there is no etcd");
    };
    let locker = locker(&endpoint).await;
    let mut client = raw(&endpoint).await;
    for (asked, effective) in [
        (SECOND, 2 * SECOND),
        (SECOND * 11 / 10, 2 * SECOND),
        (2 * SECOND, 2 * SECOND),
        (SECOND * 5 / 2, 3 * SECOND),
        (30 * SECOND, 30 * SECOND),
        (365 * DAY, 365 * DAY),
    ] {
        let name = unique("ttl");
        let guard = acquire(&locker, &name, asked).await;
        assert_eq!(guard.ttl(), effective, "{asked:?}");
        assert!(guard.remaining() <= effective);
        let (_, _, lease) = entries(&client, &name).await.remove(0);
        let granted = within(PATIENCE, client.lease_time_to_live(lease, None)).await;
        assert_eq!(
            granted.unwrap().granted_ttl().unsigned_abs(),
            effective.as_secs()
        );
        guard.release().await.unwrap();
    }
    locker.close().await;
}

#[tokio::test]
async fn an_extension_is_rounded_or_refused_as_well() {
    let Some(endpoint) = etcd() else {
        return skip("there is no etcd");
    };
    let locker = locker(&endpoint).await;
    let guard = acquire(&locker, &unique("ttl"), 10 * SECOND).await;
    for ttl in [SECOND / 2, 366 * DAY] {
        let error = guard.extend(ttl).await.unwrap_err();
        let LeaseError::InvalidRequest(refused) = error else {
            panic!("{error:?}");
        };
        is_out_of_range(&refused, ttl);
    }
    assert_eq!(guard.ttl(), 10 * SECOND);
    let left = guard.extend(SECOND * 61 / 2).await.unwrap();
    assert_eq!(guard.ttl(), 31 * SECOND);
    assert!(left > 10 * SECOND && left <= 31 * SECOND, "{left:?}");
    guard.release().await.unwrap();
    locker.close().await;
}

/// R6: an `extend` whose answer nobody heard is a doubt about the key's lease; what ends the doubt must not leave the
/// key with less than the guard believes in.
#[tokio::test]
async fn a_shorter_extend_after_one_that_was_dropped_shortens_nothing() {
    let Some(endpoint) = etcd() else {
        return skip("no etcd");
    };
    let locker = locker(&endpoint).await;
    let client = raw(&endpoint).await;
    for polls in 1..12 {
        let name = unique("extend");
        let guard = acquire(&locker, &name, 30 * SECOND).await;
        polled(guard.extend(60 * SECOND), polls).await;
        guard.extend(5 * SECOND).await.unwrap();
        let (_, _, lease) = entries(&client, &name).await.remove(0);
        let believed = guard.remaining();
        let answer = client.lease_client().time_to_live(lease, None).await;
        let left = Duration::from_secs(answer.unwrap().ttl().try_into().unwrap());
        // etcd tells whole seconds.
        assert!(
            left + SECOND >= believed,
            "dropped after {polls} polls: {left:?} left, believes in {believed:?}"
        );
    }
}

/// Polls a future so often, for at most a second each time, and drops it.
async fn polled(future: impl Future, polls: u32) {
    let mut future = pin!(future);
    let mut left = polls;
    let polling = poll_fn(|cx| {
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending if left == 0 => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    });
    let _ = tokio::time::timeout(SECOND, polling).await;
}
