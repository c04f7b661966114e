//! What a look at a lock shows, and taking a lock away.

use crate::conformance::client::Client;
use crate::conformance::harness::Harness;
use crate::conformance::held::{Held, LONG, SHORT};
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::store::{Mode, Renewed};
use crate::{LockName, OwnerLabel};

pub(super) async fn a_free_lock_shows_nobody(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let name = h.name()?;
    client
        .expect_free(&name, "before anybody asked for it")
        .await?;
    let held = client.lock(&name, LONG).await?;
    client.release(&held).await?;
    client.expect_free(&name, "after its release").await?;
    let held = client.lock(&name, SHORT).await?;
    client.until_expired(&held).await?;
    client.expect_free(&name, "after its expiry").await
}

pub(super) async fn the_holder_shows_to_everybody(h: &Harness<'_>) -> Verdict {
    let (holder, other) = (h.client().await?, h.client().await?);
    let label = OwnerLabel::new("the holder");
    let request = holder
        .request(&h.name()?, Mode::Try)
        .labelled(label.clone());
    let held = holder.granted(&request, "of a free lock").await?;
    let seen = other
        .expect_held(&held, "as seen by another client")
        .await?;
    ensure!(
        seen.label.as_ref() == Some(&label),
        "the holder's label {label:?} shows as {:?}",
        seen.label
    );
    let refused = other
        .refused(
            &other.request(&held.name, Mode::Try),
            "while another client holds the lock",
        )
        .await?;
    let told = refused.held_by;
    ensure!(
        told.label.as_ref() == Some(&label),
        "a refusal shows the holder's label {label:?} as {:?}",
        told.label
    );
    ensure!(
        told.time_left.is_none_or(|left| left <= held.ttl),
        "a refusal shows {:?} left of {:?}",
        told.time_left,
        held.ttl
    );
    holder.release(&held).await?;
    Ok(())
}

pub(super) async fn any_label_survives(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let long = "l".repeat(OwnerLabel::MAX_BYTES);
    let odd = [
        "host:42",
        ":",
        "a|b",
        "a/b",
        " padded ",
        "\"quoted\" {braced}",
        "%s \\n \\",
        "ä 鎖 🔒",
        "two\nlines",
        "1",
        &long,
    ];
    for text in odd {
        let label = OwnerLabel::new(text);
        let request = client
            .request(&h.name()?, Mode::Try)
            .labelled(label.clone());
        let held = client.granted(&request, "of a free lock").await?;
        let seen = client
            .expect_held(&held, &format!("with label {label:?}"))
            .await?
            .label;
        ensure!(
            seen.as_ref() == Some(&label),
            "label {label:?} shows as {seen:?}"
        );
        client.release(&held).await?;
    }
    let unlabelled = client
        .request(&h.name()?, Mode::Try)
        .labelled(OwnerLabel::none());
    let held = client.granted(&unlabelled, "of a free lock").await?;
    let seen = client.expect_held(&held, "without a label").await?.label;
    ensure!(
        seen.as_ref().is_none_or(|label| label.as_str().is_empty()),
        "no label shows as {seen:?}"
    );
    client.release(&held).await?;
    Ok(())
}

pub(super) async fn the_time_left_runs_down(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let held = client.lock(&h.name()?, 5 * SHORT).await?;
    let mut before = held.ttl;
    let patience = h.patience(held.ttl);
    while before > held.ttl * 4 / 5 {
        let left = client.time_left(&held, "while it is held").await?;
        let answered_at = h.now();
        ensure!(
            left <= before,
            "the time left of a lease that nobody renews rose from {before:?} to {left:?}"
        );
        let missing = held.lasts_until().since(answered_at + left);
        ensure!(
            missing.is_zero(),
            "the time left of a lease of {:?} shows {missing:?} too little",
            held.ttl
        );
        before = left;
        patience.pause("a fifth of the TTL").await?;
    }
    client.release(&held).await?;
    Ok(())
}

pub(super) async fn waiting_attempts_are_counted(h: &Harness<'_>) -> Verdict {
    let clients = [h.client().await?, h.client().await?, h.client().await?];
    let held = clients[0].lock(&h.name()?, LONG).await?;
    counts(&clients[0], &held, 0, "when nobody does").await?;
    let queued = [
        clients[1].request(&held.name, Mode::Queue),
        clients[2].request(&held.name, Mode::Queue),
    ];
    clients[1]
        .refused(&queued[0], "while another client holds the lock")
        .await?;
    counts(&clients[0], &held, 1, "after one was refused").await?;
    clients[2]
        .refused(&queued[1], "while another client holds the lock")
        .await?;
    clients[2]
        .refused(&queued[1], "while another client holds the lock")
        .await?;
    counts(
        &clients[0],
        &held,
        2,
        "after two were refused, one of them twice",
    )
    .await?;
    clients[1].release_attempt(&queued[0]).await?;
    counts(&clients[0], &held, 1, "after one of two has left").await?;
    clients[2].release_attempt(&queued[1]).await?;
    counts(&clients[0], &held, 0, "after all have left").await
}

async fn counts(client: &Client, held: &Held, expected: u64, when: &str) -> Verdict {
    let Some(waiters) = client.expect_held(held, when).await?.waiters else {
        return Err(Stop::skipped("the store does not count waiters"));
    };
    ensure!(
        waiters == expected,
        "{waiters} attempts wait {when}, not {expected}"
    );
    Ok(())
}

pub(super) async fn a_forced_release_takes_the_lock_away(h: &Harness<'_>) -> Verdict {
    let (holder, operator) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, LONG).await?;
    ensure!(
        operator.force_release(&held.name).await?,
        "the forced release of a held lock found it free"
    );
    operator
        .expect_free(&held.name, "after a forced release")
        .await?;
    let answer = holder.renew(&held, LONG).await?;
    ensure!(
        answer == Renewed::NotOwner,
        "after a forced release a renewal was answered {answer:?}"
    );
    ensure!(
        !holder.release(&held).await?,
        "after a forced release there was still something to release"
    );
    operator.lock(&held.name, LONG).await?;
    Ok(())
}

pub(super) async fn a_forced_release_of_a_free_lock_finds_nothing(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let found = client.force_release(&h.name()?).await?;
    ensure!(!found, "the forced release of a free lock found a holder");
    Ok(())
}

pub(super) async fn a_forced_release_spares_the_queue_and_other_names(h: &Harness<'_>) -> Verdict {
    let (holder, waiting) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, LONG).await?;
    let neighbour: LockName = h.named(format!("{}/neighbour", held.name))?;
    let other = holder.lock(&neighbour, LONG).await?;
    let queued = waiting.request(&held.name, Mode::Queue);
    waiting
        .refused(&queued, "while another client holds the lock")
        .await?;
    holder.force_release(&held.name).await?;
    holder
        .expect_held(&other, "after the forced release of another name")
        .await?;
    waiting
        .granted(&queued, "to the only one who waits, after a forced release")
        .await?;
    holder.release(&other).await?;
    Ok(())
}
