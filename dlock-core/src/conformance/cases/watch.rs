//! A watch sees what happens to its lock, whoever causes it; pushed by the store, or polled.

use crate::conformance::client::Client;
use crate::conformance::harness::{EVENTUALLY, Harness};
use crate::conformance::held::{Held, LONG, SHORT};
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::runtime::timeout;
use crate::store::{LockEvent, Mode};
use crate::{LockName, Locker, OwnerLabel, Watching};

pub(super) async fn a_watch_sees_locking_and_unlocking(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let name = h.name()?;
    let mut watching = watch(&locker, &name).await?;
    for turn in ["first", "second"] {
        let held = labelled(&client, &name, turn).await?;
        sees_locked(h, &mut watching, &held, turn).await?;
        client.release(&held).await?;
        sees(h, &mut watching, LockEvent::Unlocked).await?;
    }
    Ok(())
}

pub(super) async fn a_watch_starts_with_the_present_holder(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let held = labelled(&client, &h.name()?, "before").await?;
    let mut watching = watch(&locker, &held.name).await?;
    sees_locked(h, &mut watching, &held, "before").await?;
    client.release(&held).await?;
    sees(h, &mut watching, LockEvent::Unlocked).await
}

pub(super) async fn a_watch_tells_an_expiry_from_a_release(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    // So long that a poll every half second finds it held.
    let held = client.lock(&h.name()?, 2 * SHORT).await?;
    let mut watching = watch(&locker, &held.name).await?;
    sees_locked(h, &mut watching, &held, "case").await?;
    sees(h, &mut watching, LockEvent::Expired).await
}

pub(super) async fn a_watch_sees_a_forced_release(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let held = client.lock(&h.name()?, LONG).await?;
    let mut watching = watch(&locker, &held.name).await?;
    sees_locked(h, &mut watching, &held, "case").await?;
    client.force_release(&held.name).await?;
    sees(h, &mut watching, LockEvent::Unlocked).await
}

pub(super) async fn a_watch_sees_its_own_name_only(h: &Harness<'_>) -> Verdict {
    let (client, locker) = (h.client().await?, h.locker().await?);
    let name = h.name()?;
    let mut watching = watch(&locker, &name).await?;
    for neighbour in ["/b", "b", "%"] {
        let held = labelled(
            &client,
            &h.named(format!("{name}{neighbour}"))?,
            "neighbour",
        )
        .await?;
        client.release(&held).await?;
    }
    let held = labelled(&client, &name, "watched").await?;
    sees_locked(h, &mut watching, &held, "watched").await?;
    client.release(&held).await?;
    Ok(())
}

async fn watch(locker: &Locker, name: &LockName) -> Result<Watching, Stop> {
    locker
        .watch(name.as_str())
        .await
        .map_err(|error| Stop::error("watching", error))
}

async fn labelled(client: &Client, name: &LockName, label: &str) -> Result<Held, Stop> {
    let request = client
        .request(name, Mode::Try)
        .labelled(OwnerLabel::new(label));
    client.granted(&request, "of a free lock").await
}

async fn sees_locked(
    h: &Harness<'_>,
    watching: &mut Watching,
    held: &Held,
    label: &str,
) -> Verdict {
    sees(
        h,
        watching,
        LockEvent::Locked {
            label: Some(OwnerLabel::new(label)),
            token: Some(held.token()),
        },
    )
    .await
}

async fn sees(h: &Harness<'_>, watching: &mut Watching, expected: LockEvent) -> Verdict {
    let event = timeout(&**h.runtime(), h.now() + EVENTUALLY, watching.next()).await;
    let event = event.map_err(|_| {
        Stop::failed(format!(
            "a watch did not show {expected:?} within {EVENTUALLY:?}"
        ))
    })?;
    let event = event.map_err(|error| Stop::error("a watch", error))?;
    ensure!(
        event == expected,
        "a watch shows {event:?}, not {expected:?}"
    );
    Ok(())
}
