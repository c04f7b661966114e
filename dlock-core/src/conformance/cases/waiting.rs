//! Who waits is woken, and need not ask often (R11).

use std::future::ready;
use std::time::Duration;

use crate::conformance::client::Client;
use crate::conformance::harness::{EVENTUALLY, Harness};
use crate::conformance::held::{LATE_EXPIRY, LONG, SHORT};
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::runtime::{Race, race, timeout};
use crate::store::{AttemptRequest, Mode, Place};

/// Within which a pushed wakeup must arrive: well below the 2 s after which a waiter looks by itself.
const PUSHED: Duration = Duration::from_secs(1);

/// Within which a waiter must notice by itself that the lock is free: R11's 2 s, and some.
const NOTICED: Duration = Duration::from_secs(3);

/// Polls once, so that the wait has begun before what comes next; `false` when it is over already.
async fn parked(wait: &mut (impl Future<Output = ()> + Unpin)) -> bool {
    matches!(race(wait, ready(())).await, Race::Second(()))
}

pub(super) async fn queued(
    client: &Client,
    request: &AttemptRequest,
) -> Result<Option<Box<dyn Place>>, Stop> {
    Ok(client
        .refused(request, "while another client holds the lock")
        .await?
        .place)
}

pub(super) async fn a_waiting_attempt_is_woken_by_a_release(h: &Harness<'_>) -> Verdict {
    let (holder, waiting) = (h.client().await?, h.client().await?);
    holder.needs_push()?;
    let held = holder.lock(&h.name()?, LONG).await?;
    let request = waiting.request(&held.name, Mode::Queue);
    let Some(mut place) = queued(&waiting, &request).await? else {
        return Err(Stop::failed(
            "the store declares to wake waiters and gives no place to wait",
        ));
    };
    let mut wait = place.wait();
    if parked(&mut wait).await {
        holder.release(&held).await?;
        let released_at = h.now();
        let Ok(()) = timeout(&**h.runtime(), released_at + EVENTUALLY, wait).await else {
            return Err(Stop::failed(format!(
                "a waiting attempt was not woken within {EVENTUALLY:?} of the release"
            )));
        };
        let late = h.now().since(released_at);
        ensure!(
            late <= PUSHED,
            "a waiting attempt was woken {late:?} after the release"
        );
    } else {
        // Woken early, which it may be.
        holder.release(&held).await?;
    }
    waiting
        .granted(&request, "to the only one who waits, after the release")
        .await?;
    Ok(())
}

pub(super) async fn a_wait_that_was_dropped_can_go_on(h: &Harness<'_>) -> Verdict {
    let (holder, waiting) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, LONG).await?;
    let request = waiting.request(&held.name, Mode::Queue);
    let Some(mut place) = queued(&waiting, &request).await? else {
        return Err(Stop::skipped("the store gives no place to wait"));
    };
    for _ in 0..3 {
        race(place.wait(), h.runtime().sleep(Duration::from_millis(5))).await;
    }
    let mut wait = place.wait();
    let parked = parked(&mut wait).await;
    holder.release(&held).await?;
    let bound = if holder.capabilities().push {
        PUSHED
    } else {
        NOTICED
    };
    let woken = !parked || timeout(&**h.runtime(), h.now() + bound, wait).await.is_ok();
    ensure!(
        woken,
        "a wait that had been dropped before was not woken within {bound:?} of the release"
    );
    waiting
        .granted(&request, "to the only one who waits, after the release")
        .await?;
    Ok(())
}

pub(super) async fn a_waiting_attempt_notices_an_expiry(h: &Harness<'_>) -> Verdict {
    let (holder, waiting) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, 2 * SHORT).await?;
    let request = waiting.request(&held.name, Mode::Queue);
    queued(&waiting, &request).await?;
    // Nobody else looks at the lock meanwhile: the store might notice the expiry by that.
    let over_at = held.known_at + held.ttl;
    let Ok(next) = timeout(
        &**h.runtime(),
        over_at + LATE_EXPIRY + NOTICED,
        waiting.acquire(&request),
    )
    .await
    else {
        let bound = LATE_EXPIRY + NOTICED;
        return Err(Stop::failed(format!(
            "a waiting attempt had no grant {bound:?} after the holder's expiry"
        )));
    };
    let early = held.lasts_until().since(next?.known_at);
    ensure!(
        early.is_zero(),
        "a waiting attempt was granted {early:?} before the holder's expiry"
    );
    Ok(())
}

pub(super) async fn a_waiting_locker_asks_rarely(h: &Harness<'_>) -> Verdict {
    let holder = h.client().await?;
    holder.needs_push()?;
    let held = holder.lock(&h.name()?, LONG).await?;
    let (locker, spy) = h.spied_locker().await?;
    let lock = locker.lock(held.name.as_str()).wait(EVENTUALLY);
    let guard = h.spawn(async move {
        lock.acquire()
            .await
            .map_err(|error| Stop::error("waiting for the lock", error))
    });
    spy.refused().await?;
    // An idle waiter costs nothing for a while.
    h.sleep_until(h.now() + Duration::from_millis(300)).await;
    holder.release(&held).await?;
    let guard = guard.join().await?;
    ensure!(
        guard.attempts() <= 3,
        "a waiting locker asked {} times for one grant",
        guard.attempts()
    );
    Ok(())
}
