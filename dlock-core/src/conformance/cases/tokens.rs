//! Fencing tokens rise with every grant, and with nothing else (R10).

use crate::FencingToken;
use crate::conformance::harness::Harness;
use crate::conformance::held::{LONG, SHORT};
use crate::conformance::verdict::{Verdict, ensure};
use crate::store::{Mode, Renewed};

pub(super) async fn tokens_rise_over_releases(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    client.needs_fencing()?;
    let name = h.name()?;
    let mut before = None;
    for _ in 0..10 {
        let held = client.lock(&name, LONG).await?;
        rises(
            before.replace(held.token()),
            held.token(),
            "after a release",
        )?;
        client.release(&held).await?;
    }
    Ok(())
}

pub(super) async fn tokens_rise_over_an_expiry(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    client.needs_fencing()?;
    let expired = client.lock(&h.name()?, SHORT).await?;
    client.until_expired(&expired).await?;
    let held = client.lock(&expired.name, LONG).await?;
    rises(Some(expired.token()), held.token(), "after an expiry")
}

pub(super) async fn tokens_rise_over_clients(h: &Harness<'_>) -> Verdict {
    let clients = [h.client().await?, h.client().await?, h.client().await?];
    clients[0].needs_fencing()?;
    let name = h.name()?;
    let mut before = None;
    for turn in [0, 0, 1, 2, 1, 0] {
        let held = clients[turn].lock(&name, LONG).await?;
        rises(
            before.replace(held.token()),
            held.token(),
            "after another client's turn",
        )?;
        clients[turn].release(&held).await?;
    }
    Ok(())
}

pub(super) async fn tokens_rise_over_a_forced_release(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    client.needs_fencing()?;
    let name = h.name()?;
    let mut before = None;
    for _ in 0..3 {
        let held = client.lock(&name, LONG).await?;
        rises(
            before.replace(held.token()),
            held.token(),
            "after a forced release",
        )?;
        client.force_release(&name).await?;
    }
    Ok(())
}

fn rises(before: Option<FencingToken>, token: FencingToken, when: &str) -> Verdict {
    let Some(before) = before else { return Ok(()) };
    ensure!(
        before < token,
        "token {token} does not rise above {before} {when}"
    );
    Ok(())
}

pub(super) async fn a_renewal_keeps_the_token(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let request = client.request(&h.name()?, Mode::Try);
    let held = client.granted(&request, "of a free lock").await?;
    for _ in 0..3 {
        let answer = client.renew(&held, LONG).await?;
        ensure!(
            matches!(answer, Renewed::Until(_)),
            "a renewal of a held lock was answered {answer:?}"
        );
        client.expect_held(&held, "after a renewal").await?;
    }
    let again = client
        .granted(&request, "to a retry after renewals")
        .await?;
    ensure!(
        again.token() == held.token(),
        "renewals changed token {} to {}",
        held.token(),
        again.token()
    );
    client.release(&held).await?;
    Ok(())
}
