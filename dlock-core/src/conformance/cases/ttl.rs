//! What the store declares of its TTLs and batches is so, and no TTL is silently changed (R16).

use std::time::Duration;

use crate::conformance::client::Client;
use crate::conformance::harness::Harness;
use crate::conformance::held::LONG;
use crate::conformance::verdict::{Verdict, ensure};
use crate::store::{AttemptRequest, Mode};

pub(super) async fn capabilities_make_sense(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let declared = client.capabilities();
    let ttl = declared.ttl;
    ensure!(!declared.store.is_empty(), "the store has no name");
    ensure!(
        ttl.min <= ttl.max && !ttl.max.is_zero(),
        "no TTL is in {:?}..={:?}",
        ttl.min,
        ttl.max
    );
    let longest = ttl.effective(ttl.max);
    ensure!(
        longest >= Some(ttl.max),
        "the longest TTL of {:?} becomes {longest:?}",
        ttl.max
    );
    client
        .release(&client.lock(&h.name()?, LONG).await?)
        .await?;
    let later = h.client().await?.capabilities();
    ensure!(
        declared == later,
        "capabilities change: {declared:?}, then {later:?}"
    );
    Ok(())
}

pub(super) async fn the_ttl_is_kept(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    for wanted in [
        Duration::from_millis(12_345),
        Duration::from_secs(77),
        Duration::from_secs(3_601),
    ] {
        as_asked(h, &client, client.ttl(wanted)).await?;
    }
    Ok(())
}

pub(super) async fn the_longest_ttl_works(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    as_asked(h, &client, client.ttl(Duration::MAX)).await
}

async fn as_asked(h: &Harness<'_>, client: &Client, ttl: Duration) -> Verdict {
    let request = AttemptRequest {
        ttl,
        ..client.request(&h.name()?, Mode::Try)
    };
    let held = client.granted(&request, "of a free lock").await?;
    let left = client.time_left(&held, "after its grant").await?;
    let answered_at = h.now();
    client.release(&held).await?;
    ensure!(left <= ttl, "{left:?} are left of a TTL of {ttl:?}");
    let missing = held.lasts_until().since(answered_at + left);
    ensure!(
        missing.is_zero(),
        "{left:?} are left of a TTL of {ttl:?}: {missing:?} too little"
    );
    Ok(())
}

pub(super) async fn the_shortest_ttl_works(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let held = client.lock(&h.name()?, Duration::ZERO).await?;
    client.until_expired(&held).await
}
