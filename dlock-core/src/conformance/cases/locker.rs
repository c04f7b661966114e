//! The store under a `Locker`: what its users rely on.

use std::time::Duration;

use crate::conformance::client::Client;
use crate::conformance::harness::{EVENTUALLY, Harness};
use crate::conformance::held::{Held, LONG, SHORT};
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::error::{AcquireError, Ended, LossCause};
use crate::runtime::{race, timeout};
use crate::store::Mode;
use crate::{Guard, LockName, Locker, OwnerLabel};

/// On top of a declared notice of loss.
const SLACK: Duration = Duration::from_secs(1);

pub(super) async fn a_guard_is_acquired_and_released(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let name = h.name()?;
    let guard = acquire(&locker, &name, LONG).await?;
    shows(&client, &guard, "after its acquisition").await?;
    let second = locker
        .lock(name.as_str())
        .try_acquire()
        .await
        .map_err(|error| Stop::error("a second attempt", error))?;
    ensure!(second.is_none(), "a second attempt got a held lock");
    guard
        .release()
        .await
        .map_err(|error| Stop::error("the release of a guard", error))?;
    client
        .expect_free(&name, "after the release of its guard")
        .await
}

pub(super) async fn a_waiting_locker_gets_the_lock(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let held = client.lock(&h.name()?, LONG).await?;
    let (locker, spy) = h.spied_locker().await?;
    let lock = locker.lock(held.name.as_str()).wait(EVENTUALLY);
    let guard = h.spawn(async move {
        lock.acquire()
            .await
            .map_err(|error| Stop::error("waiting for the lock", error))
    });
    spy.refused().await?;
    client.release(&held).await?;
    let guard = guard.join().await?;
    shows(&client, &guard, "after it was waited for").await
}

pub(super) async fn a_wait_that_times_out_leaves_nothing(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let request = client
        .request(&h.name()?, Mode::Try)
        .labelled(OwnerLabel::new("the holder"));
    let held = client.granted(&request, "of a free lock").await?;
    let waited = locker
        .lock(held.name.as_str())
        .wait(Duration::from_millis(500))
        .acquire()
        .await;
    let Err(AcquireError::TimedOut { held_by, .. }) = waited else {
        return Err(Stop::failed(format!(
            "waiting 500 ms for a held lock ended with {waited:?}"
        )));
    };
    let label = held_by.label.as_ref().map(OwnerLabel::as_str);
    ensure!(
        label == Some("the holder"),
        "the error shows {label:?} as the holder"
    );
    nothing_left(&client, &locker, &held).await
}

pub(super) async fn a_cancelled_acquire_leaves_nothing(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let held = client.lock(&h.name()?, LONG).await?;
    let (locker, spy) = h.spied_locker().await?;
    let lock = locker.lock(held.name.as_str());
    // Dropped when it waits.
    race(lock.acquire(), spy.refused()).await;
    nothing_left(&client, &locker, &held).await
}

/// Nobody waits after the locker's clean-up, and the lock is free once its holder has released it.
async fn nothing_left(client: &Client, locker: &Locker, held: &Held) -> Verdict {
    cleaned_up(locker).await?;
    let waiters = client
        .expect_held(held, "after another's acquisition that ended")
        .await?
        .waiters;
    ensure!(
        waiters.unwrap_or(0) == 0,
        "an acquisition that ended left {waiters:?} in the queue"
    );
    client.release(held).await?;
    let next = client.request(&held.name, Mode::Try);
    client
        .granted(
            &next,
            "of a lock that only an ended acquisition had waited for",
        )
        .await?;
    Ok(())
}

pub(super) async fn a_dropped_guard_is_released(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let name = h.name()?;
    drop(acquire(&locker, &name, LONG).await?);
    cleaned_up(&locker).await?;
    client
        .expect_free(&name, "after its guard was dropped")
        .await
}

pub(super) async fn a_held_guard_outlives_its_ttl(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let guard = acquire(&locker, &h.name()?, client.ttl(2 * SHORT)).await?;
    let enough = h.now() + guard.ttl() * 2;
    while h.now() < enough {
        guard
            .check()
            .map_err(|error| Stop::error("checking a guard that is renewed", error))?;
        shows(&client, &guard, "while it is renewed").await?;
        h.sleep_until(h.now() + guard.ttl() / 10).await;
    }
    guard
        .release()
        .await
        .map_err(|error| Stop::error("the release of a guard", error))
}

/// S7: who believes in a lease has it.
pub(super) async fn an_unrenewed_guard_ends_before_its_lease(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let name = h.name()?;
    let lock = locker
        .lock(name.as_str())
        .ttl(client.ttl(SHORT))
        .auto_renew(false);
    let guard = lock
        .acquire()
        .await
        .map_err(|error| Stop::error("an acquisition", error))?;
    loop {
        let seen = client.inspect(&name).await?;
        if guard.check().is_err() {
            break;
        }
        let token = seen.and_then(|seen| seen.token);
        ensure!(
            token == Some(guard.token()),
            "a guard believes in its lease when the lock is held by {token:?}"
        );
        h.sleep_until(h.now() + guard.ttl() / 20).await;
    }
    match ended(h, &guard, SLACK).await? {
        Ended::Lost(LossCause::Expired) => Ok(()),
        other => Err(Stop::failed(format!(
            "a lease that nobody renews ended with {other:?}"
        ))),
    }
}

pub(super) async fn an_extended_guard_lasts_longer(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let longer = client.ttl(LONG);
    let guard = acquire(&locker, &h.name()?, client.ttl(5 * SHORT)).await?;
    client.needs(
        longer > 2 * guard.ttl(),
        "no TTL is much longer than the shortest",
    )?;
    guard
        .extend(longer)
        .await
        .map_err(|error| Stop::error("extending a guard", error))?;
    let left = client
        .inspect(guard.name())
        .await?
        .and_then(|seen| seen.time_left);
    ensure!(
        left.is_some_and(|left| left > longer / 2),
        "{left:?} are left after an extension to {longer:?}"
    );
    Ok(())
}

pub(super) async fn a_guard_whose_lock_is_taken_is_lost(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let guard = acquire(&locker, &h.name()?, client.ttl(3 * SHORT)).await?;
    client.force_release(guard.name()).await?;
    let ended = ended(h, &guard, guard.ttl() + SLACK).await?;
    ensure!(
        matches!(ended, Ended::Lost(LossCause::NotOwner)),
        "a guard whose lock was taken away ended with {ended:?}"
    );
    cleaned_up(&locker).await?;
    client
        .expect_free(
            guard.name(),
            "after it was taken away, and its guard had renewed it in vain",
        )
        .await
}

/// S8, with a TTL so long that no renewal comes to help.
pub(super) async fn a_loss_is_noticed_in_the_declared_time(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let Some(notice) = client.capabilities().loss_notice else {
        return Err(Stop::skipped(
            "the store does not declare how soon a loss is noticed",
        ));
    };
    let ttl = client.ttl(LONG);
    client.needs(
        ttl / 3 > 2 * (notice + SLACK),
        "renewals come as soon as the declared notice",
    )?;
    let guard = acquire(&locker, &h.name()?, ttl).await?;
    client.force_release(guard.name()).await?;
    let ended = ended(h, &guard, notice + SLACK).await?;
    ensure!(
        matches!(ended, Ended::Lost(LossCause::NotOwner)),
        "a guard whose lock was taken away ended with {ended:?}"
    );
    Ok(())
}

pub(super) async fn a_closed_store_can_be_used_again(h: &Harness<'_>) -> Verdict {
    let (client, other) = (h.client().await?, h.client().await?);
    let held = client.lock(&h.name()?, LONG).await?;
    client.store.close().await;
    other
        .expect_held(&held, "after its client was closed")
        .await?;
    ensure!(
        client.release(&held).await?,
        "the release after a close removed nothing"
    );
    client.lock(&held.name, LONG).await?;
    Ok(())
}

async fn acquire(locker: &Locker, name: &LockName, ttl: Duration) -> Result<Guard, Stop> {
    let lock = locker.lock(name.as_str()).ttl(ttl).wait(EVENTUALLY);
    lock.acquire()
        .await
        .map_err(|error| Stop::error("an acquisition", error))
}

async fn shows(client: &Client, guard: &Guard, when: &str) -> Verdict {
    let seen = client.inspect(guard.name()).await?;
    let label = OwnerLabel::new("locker");
    let shown = seen
        .as_ref()
        .is_some_and(|seen| seen.token == Some(guard.token()) && seen.label == Some(label));
    ensure!(
        shown,
        "the guard with token {} does not show {when}, but: {seen:?}",
        guard.token()
    );
    Ok(())
}

async fn ended(h: &Harness<'_>, guard: &Guard, bound: Duration) -> Result<Ended, Stop> {
    let ended = timeout(&**h.runtime(), h.now() + bound, guard.ended()).await;
    ended.map_err(|_| Stop::failed(format!("a guard did not learn of its end within {bound:?}")))
}

async fn cleaned_up(locker: &Locker) -> Verdict {
    let unfinished = locker.close().await.unfinished;
    ensure!(
        unfinished == 0,
        "{unfinished} releases did not come to an end"
    );
    Ok(())
}
