//! An attempt may be asked again and again, and leaves what its mode allows (R2, R4).

use std::time::Duration;

use crate::conformance::harness::Harness;
use crate::conformance::held::{LONG, SHORT};
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::store::{AttemptRequest, Expiry, Mode};

pub(super) async fn a_retry_gets_the_same_grant(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    for mode in [Mode::Try, Mode::Queue] {
        let request = client.request(&h.name()?, mode);
        let first = client.granted(&request, "of a free lock").await?;
        let again = client.granted(&request, "to a retry of the holder").await?;
        ensure!(
            again.grant == first.grant,
            "a retry turned token {} into {}",
            first.token(),
            again.token()
        );
        // R1: the first call set the expiry, so the deadline must not count from the second.
        ensure!(
            again.expiry != Expiry::ByThisCall,
            "a retry claims to have set the expiry of the first call"
        );
        client.release(&first).await?;
    }
    Ok(())
}

pub(super) async fn a_retry_does_not_lengthen_the_lease(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let granularity = client.capabilities().ttl.granularity;
    let request = AttemptRequest {
        ttl: client.ttl((2 * SHORT).max(3 * granularity)),
        ..client.request(&h.name()?, Mode::Try)
    };
    let held = client.granted(&request, "of a free lock").await?;
    h.sleep_until(held.known_at + held.ttl / 2).await;
    let again = client.granted(&request, "to a retry of the holder").await?;
    let asked_at = h.now();
    if h.now() >= held.lasts_until() {
        return Err(Stop::skipped("too slow to ask twice within a TTL"));
    }
    let left = client.time_left(&again, "after a retry").await?;
    // The lease ends no earlier than `asked_at + left`, and may end no later than a TTL after its
    // grant; a server that counts whole milliseconds, or seconds, may round both.
    let surplus = (asked_at + left).since(held.known_at + held.ttl);
    ensure!(
        surplus <= Duration::from_millis(2).max(granularity),
        "a retry lengthened a lease of {:?} by {surplus:?}",
        held.ttl
    );
    Ok(())
}

pub(super) async fn a_released_grant_is_not_revived(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let request = client.request(&h.name()?, Mode::Try);
    let first = client.granted(&request, "of a free lock").await?;
    client.release(&first).await?;
    let second = client
        .granted(&request, "to a late duplicate of a free lock")
        .await?;
    ensure!(
        second.token() != first.token(),
        "a late duplicate revived the released grant {}",
        first.token()
    );
    client
        .expect_held(&second, "after a late duplicate")
        .await?;
    client.release(&second).await?;
    Ok(())
}

pub(super) async fn an_expired_grant_is_not_revived(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let request = AttemptRequest {
        ttl: client.ttl(SHORT),
        ..client.request(&h.name()?, Mode::Try)
    };
    let first = client.granted(&request, "of a free lock").await?;
    client.until_expired(&first).await?;
    let second = client
        .granted(&request, "to a late duplicate of a free lock")
        .await?;
    ensure!(
        second.token() != first.token(),
        "a late duplicate revived the expired grant {}",
        first.token()
    );
    Ok(())
}

pub(super) async fn an_ended_attempt_is_refused_while_another_holds(h: &Harness<'_>) -> Verdict {
    let (client, next) = (h.client().await?, h.client().await?);
    let request = client.request(&h.name()?, Mode::Try);
    let first = client.granted(&request, "of a free lock").await?;
    client.release(&first).await?;
    let held = next.lock(&request.name, LONG).await?;
    client
        .refused(
            &request,
            "to an attempt that ended before the present holder's",
        )
        .await?;
    next.expect_held(&held, "after a late duplicate of an earlier holder")
        .await?;
    next.release(&held).await?;
    Ok(())
}

pub(super) async fn a_refused_attempt_may_ask_again(h: &Harness<'_>) -> Verdict {
    let (holder, next) = (h.client().await?, h.client().await?);
    for mode in [Mode::Try, Mode::Queue] {
        let held = holder.lock(&h.name()?, LONG).await?;
        let request = next.request(&held.name, mode);
        for _ in 0..3 {
            next.refused(&request, "while another client holds the lock")
                .await?;
        }
        holder.release(&held).await?;
        let after = next
            .granted(&request, "to the only one who waits, after the release")
            .await?;
        next.release(&after).await?;
    }
    Ok(())
}

pub(super) async fn a_try_leaves_nothing(h: &Harness<'_>) -> Verdict {
    let (holder, trying, next) = (h.client().await?, h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, LONG).await?;
    trying
        .refused(
            &trying.request(&held.name, Mode::Try),
            "while another client holds the lock",
        )
        .await?;
    let waiters = holder.expect_held(&held, "after a try").await?.waiters;
    ensure!(
        waiters.unwrap_or(0) == 0,
        "a try that was refused waits in the queue"
    );
    holder.release(&held).await?;
    // Whatever the try left would stand before this one.
    next.granted(
        &next.request(&held.name, Mode::Try),
        "of a lock that only a try had asked for",
    )
    .await?;
    Ok(())
}
