//! A renewal extends its own live grant, and never makes it shorter (R6).

use std::time::Duration;

use crate::Grant;
use crate::conformance::client::Client;
use crate::conformance::harness::Harness;
use crate::conformance::held::{Held, LONG, SHORT};
use crate::conformance::verdict::{Verdict, ensure};
use crate::store::{Mode, Renewal, Renewed};

pub(super) async fn a_renewal_extends_the_lease(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let held = client.lock(&h.name()?, 5 * SHORT).await?;
    let longer = client.ttl(LONG);
    client.needs(
        longer > 2 * held.ttl,
        "no TTL is much longer than the shortest",
    )?;
    renewed(&client, &held, LONG).await?;
    let left = client.time_left(&held, "after a renewal").await?;
    ensure!(
        left > held.ttl,
        "{left:?} are left after a renewal for {longer:?}"
    );
    ensure!(
        left <= longer,
        "{left:?} are left after a renewal for {longer:?}"
    );
    client.release(&held).await?;
    Ok(())
}

pub(super) async fn a_renewal_never_shortens(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let held = client.lock(&h.name()?, LONG).await?;
    let shorter = client.ttl(SHORT);
    client.needs(
        held.ttl > 2 * shorter,
        "no TTL is much longer than the shortest",
    )?;
    renewed(&client, &held, SHORT).await?;
    let left = client.time_left(&held, "after a shorter renewal").await?;
    ensure!(
        left > held.ttl / 2,
        "a renewal for {shorter:?} left {left:?} of a lease of {:?}",
        held.ttl
    );
    client.release(&held).await?;
    Ok(())
}

pub(super) async fn a_renewal_compares_the_id(h: &Harness<'_>) -> Verdict {
    let (holder, stranger) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, 10 * SHORT).await?;
    let guessed = Grant {
        id: stranger.new_id(),
        token: held.token(),
    };
    not_owner(
        stranger.renew_grant(&held.name, guessed).await?,
        "with a stranger's id and the holder's token",
    )?;
    not_longer(&holder, &held).await
}

/// A late duplicate of an attempt gave the lock back to the same id: the id alone says nothing (R2).
pub(super) async fn a_renewal_compares_the_token(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let mut request = client.request(&h.name()?, Mode::Try);
    request.ttl = client.ttl(10 * SHORT);
    let first = client.granted(&request, "of a free lock").await?;
    client.release(&first).await?;
    let second = client
        .granted(&request, "to a late duplicate of a free lock")
        .await?;
    not_owner(
        client.renew_grant(&first.name, first.grant).await?,
        "with an old token and the holder's id",
    )?;
    not_longer(&client, &second).await
}

pub(super) async fn a_renewal_after_release_is_refused(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let held = client.lock(&h.name()?, LONG).await?;
    client.release(&held).await?;
    not_owner(client.renew(&held, LONG).await?, "after its release")?;
    client
        .expect_free(&held.name, "after the renewal of a released grant")
        .await
}

pub(super) async fn a_renewal_after_expiry_is_refused(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let held = client.lock(&h.name()?, SHORT).await?;
    client.until_expired(&held).await?;
    not_owner(client.renew(&held, LONG).await?, "after its expiry")?;
    client
        .expect_free(&held.name, "after the renewal of an expired grant")
        .await
}

pub(super) async fn a_late_renewal_spares_the_successor(h: &Harness<'_>) -> Verdict {
    let (holder, next) = (h.client().await?, h.client().await?);
    let first = holder.lock(&h.name()?, LONG).await?;
    holder.release(&first).await?;
    let second = next.lock(&first.name, 10 * SHORT).await?;
    not_owner(
        holder.renew(&first, LONG).await?,
        "while its successor holds the lock",
    )?;
    not_longer(&next, &second).await
}

pub(super) async fn a_grant_is_renewed_by_another_client(h: &Harness<'_>) -> Verdict {
    let (holder, elsewhere) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, 5 * SHORT).await?;
    let answer = elsewhere.renew_grant(&held.name, held.grant).await?;
    ensure!(
        matches!(answer, Renewed::Until(_)),
        "another client renewed a grant it was given, and was answered {answer:?}"
    );
    let left = holder
        .time_left(&held, "after its renewal by another client")
        .await?;
    ensure!(
        left > held.ttl || holder.ttl(LONG) == held.ttl,
        "a renewal by another client left {left:?}"
    );
    holder.release(&held).await?;
    Ok(())
}

/// As many as the store declares to take at once (of which 1,000 must do), every second one a
/// stranger's.
pub(super) async fn a_batch_is_answered_in_order(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let size = client.capabilities().renewal_batch.clamp(1, 1000);
    let mut batch = Vec::new();
    for index in 0..size {
        let held = client.lock(&h.name()?, LONG).await?;
        let ours = index % 2 == 0;
        let grant = if ours {
            held.grant
        } else {
            Grant {
                id: client.new_id(),
                token: held.token(),
            }
        };
        batch.push(Renewal::new(held.name, grant, client.ttl(LONG)));
    }
    let answers = client.renew_batch(&batch).await?;
    for (index, answer) in answers.iter().enumerate() {
        let (owner, ours) = (matches!(answer, Renewed::Until(_)), index % 2 == 0);
        ensure!(
            owner == ours,
            "renewal {index} of {size} was answered {answer:?}, and ours = {ours}"
        );
    }
    let none = client.renew_batch(&[]).await?;
    ensure!(none.is_empty(), "an empty batch got {} answers", none.len());
    Ok(())
}

pub(super) async fn a_batch_may_have_many_ttls(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    client.needs(
        client.capabilities().renewal_batch > 1,
        "it renews one lease at a time",
    )?;
    let ttls = [client.ttl(LONG), client.ttl(4 * LONG)];
    client.needs(
        ttls[1] > 2 * ttls[0],
        "no TTL is much longer than the shortest",
    )?;
    let held = [
        client.lock(&h.name()?, 5 * SHORT).await?,
        client.lock(&h.name()?, 5 * SHORT).await?,
    ];
    let renewal = |at: usize| Renewal::new(held[at].name.clone(), held[at].grant, ttls[at]);
    client.renew_batch(&[renewal(0), renewal(1)]).await?;
    let left = [
        client.time_left(&held[0], "in a batch").await?,
        client.time_left(&held[1], "in a batch").await?,
    ];
    ensure!(
        left[0] <= ttls[0] && left[1] > ttls[0],
        "renewals for {ttls:?} in one batch left {left:?}"
    );
    Ok(())
}

async fn renewed(client: &Client, held: &Held, ttl: Duration) -> Verdict {
    let answer = client.renew(held, ttl).await?;
    ensure!(
        matches!(answer, Renewed::Until(_)),
        "the renewal of a held lock was answered {answer:?}"
    );
    Ok(())
}

fn not_owner(answer: Renewed, when: &str) -> Verdict {
    ensure!(
        answer == Renewed::NotOwner,
        "a renewal {when} was answered {answer:?}"
    );
    Ok(())
}

async fn not_longer(client: &Client, held: &Held) -> Verdict {
    let left = client.time_left(held, "after another's renewal").await?;
    ensure!(
        left <= held.ttl,
        "another's renewal lengthened a lease of {:?} to {left:?}",
        held.ttl
    );
    client.release(held).await?;
    Ok(())
}
