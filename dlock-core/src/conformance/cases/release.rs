//! A release ends its own grant or queue entry, once, and nothing else (R5).

use crate::Grant;
use crate::conformance::harness::Harness;
use crate::conformance::held::{LONG, SHORT};
use crate::conformance::verdict::{Verdict, ensure};
use crate::store::Mode;

pub(super) async fn a_release_frees_the_lock(h: &Harness<'_>) -> Verdict {
    let (holder, next) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, LONG).await?;
    ensure!(
        holder.release(&held).await?,
        "the release of a held lock removed nothing"
    );
    holder.expect_free(&held.name, "after its release").await?;
    next.lock(&held.name, LONG).await?;
    Ok(())
}

pub(super) async fn a_second_release_removes_nothing(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let request = client.request(&h.name()?, Mode::Try);
    let held = client.granted(&request, "of a free lock").await?;
    client.release(&held).await?;
    ensure!(
        !client.release(&held).await?,
        "the second release of a grant claims to have removed something"
    );
    ensure!(
        !client.release_attempt(&request).await?,
        "the release of an ended attempt claims to have removed something"
    );
    Ok(())
}

pub(super) async fn a_late_release_spares_the_successor(h: &Harness<'_>) -> Verdict {
    let (holder, next) = (h.client().await?, h.client().await?);
    let request = holder.request(&h.name()?, Mode::Try);
    let first = holder.granted(&request, "of a free lock").await?;
    holder.release(&first).await?;
    let second = next.lock(&request.name, LONG).await?;
    ensure!(
        !holder.release(&first).await?,
        "a doubled release removed the successor's grant"
    );
    ensure!(
        !holder.release_attempt(&request).await?,
        "a doubled release by attempt removed the successor's grant"
    );
    next.expect_held(&second, "after a doubled release of its predecessor")
        .await?;
    next.release(&second).await?;
    Ok(())
}

pub(super) async fn a_release_after_expiry_spares_the_successor(h: &Harness<'_>) -> Verdict {
    let (holder, next) = (h.client().await?, h.client().await?);
    let expired = holder.lock(&h.name()?, SHORT).await?;
    holder.until_expired(&expired).await?;
    let held = next.lock(&expired.name, LONG).await?;
    ensure!(
        !holder.release(&expired).await?,
        "the release of an expired grant removed the successor's"
    );
    next.expect_held(&held, "after the release of its expired predecessor")
        .await?;
    next.release(&held).await?;
    Ok(())
}

/// A late duplicate of an attempt gave the lock back to the same id: the id alone says nothing (R2).
pub(super) async fn a_release_compares_the_token(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let request = client.request(&h.name()?, Mode::Try);
    let first = client.granted(&request, "of a free lock").await?;
    client.release(&first).await?;
    let second = client
        .granted(&request, "to a late duplicate of a free lock")
        .await?;
    ensure!(
        !client.release(&first).await?,
        "a release with an old token removed the grant of the same id"
    );
    client
        .expect_held(&second, "after a release with an old token")
        .await?;
    ensure!(
        client.release(&second).await?,
        "the release of a held lock removed nothing"
    );
    Ok(())
}

pub(super) async fn a_strangers_release_changes_nothing(h: &Harness<'_>) -> Verdict {
    let (holder, waiting, stranger) = (h.client().await?, h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, LONG).await?;
    let queued = waiting.request(&held.name, Mode::Queue);
    waiting
        .refused(&queued, "while another client holds the lock")
        .await?;

    let guessed = Grant {
        id: stranger.new_id(),
        token: held.token(),
    };
    ensure!(
        !stranger.release_grant(&held.name, guessed).await?,
        "a stranger's id with the holder's token removed something"
    );
    let never_asked = stranger.request(&held.name, Mode::Queue);
    ensure!(
        !stranger.release_attempt(&never_asked).await?,
        "the release of an attempt never made removed something"
    );

    holder
        .expect_held(&held, "after a stranger's releases")
        .await?;
    holder.release(&held).await?;
    waiting
        .granted(
            &queued,
            "to the only one who waits, after a stranger's releases",
        )
        .await?;
    Ok(())
}

pub(super) async fn a_release_by_attempt_ends_the_grant(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let request = client.request(&h.name()?, Mode::Queue);
    client.granted(&request, "of a free lock").await?;
    ensure!(
        client.release_attempt(&request).await?,
        "the release by attempt of a held lock removed nothing"
    );
    client
        .expect_free(
            &request.name,
            "after the release of the attempt that held it",
        )
        .await
}

pub(super) async fn a_release_by_attempt_ends_the_queue_entry(h: &Harness<'_>) -> Verdict {
    let (holder, leaving, next) = (h.client().await?, h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, LONG).await?;
    let left = leaving.request(&held.name, Mode::Queue);
    leaving
        .refused(&left, "while another client holds the lock")
        .await?;
    let queued = next.request(&held.name, Mode::Queue);
    next.refused(&queued, "while another client holds the lock")
        .await?;

    leaving.release_attempt(&left).await?;
    ensure!(
        !leaving.release_attempt(&left).await?,
        "the second release of a queued attempt claims to have removed something"
    );
    holder
        .expect_held(&held, "after the release of a waiting attempt")
        .await?;
    holder.release(&held).await?;
    next.granted(
        &queued,
        "at once although the attempt before it had left the queue",
    )
    .await?;
    Ok(())
}

pub(super) async fn a_release_spares_other_names(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let released = client.lock(&h.name()?, LONG).await?;
    let kept = client.lock(&h.name()?, LONG).await?;
    client.release(&released).await?;
    client
        .expect_held(&kept, "after the release of another name")
        .await?;
    ensure!(
        !client.release_grant(&h.name()?, kept.grant).await?,
        "a release of a free lock removed something"
    );
    client
        .expect_held(&kept, "after a release with its grant and another name")
        .await?;
    client.release(&kept).await?;
    Ok(())
}

/// For a holder that lives elsewhere: name, id and token are all it has.
pub(super) async fn a_grant_is_released_by_another_client(h: &Harness<'_>) -> Verdict {
    let (holder, elsewhere) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, LONG).await?;
    ensure!(
        elsewhere.release_grant(&held.name, held.grant).await?,
        "another client could not release a grant it was given"
    );
    holder
        .expect_free(&held.name, "after its release by another client")
        .await
}
