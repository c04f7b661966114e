//! One holder at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::conformance::harness::{EVENTUALLY, Harness};
use crate::conformance::held::{LONG, SHORT};
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::store::Mode;

pub(super) async fn a_free_lock_is_granted_at_once(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    for mode in [Mode::Try, Mode::Queue] {
        let request = client.request(&h.name()?, mode);
        let held = client.granted(&request, "of a free lock").await?;
        client.expect_held(&held, "after its grant").await?;
        client.release(&held).await?;
    }
    Ok(())
}

pub(super) async fn a_held_lock_is_refused_to_another_client(h: &Harness<'_>) -> Verdict {
    let (holder, rival) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, LONG).await?;
    for mode in [Mode::Try, Mode::Queue] {
        let request = rival.request(&held.name, mode);
        rival
            .refused(&request, "while another client holds the lock")
            .await?;
        rival.release_attempt(&request).await?;
    }
    holder
        .expect_held(&held, "after a rival's attempts")
        .await?;
    holder.release(&held).await?;
    Ok(())
}

/// The owner is the attempt, not the client: nothing is re-entrant.
pub(super) async fn a_held_lock_is_refused_to_its_own_client(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let held = client.lock(&h.name()?, LONG).await?;
    let request = client.request(&held.name, Mode::Try);
    client
        .refused(
            &request,
            "while another attempt of the same client holds the lock",
        )
        .await?;
    client.expect_held(&held, "after a second attempt").await?;
    client.release(&held).await?;
    Ok(())
}

pub(super) async fn of_racing_attempts_one_is_granted(h: &Harness<'_>) -> Verdict {
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(Arc::new(h.client().await?));
    }
    for _ in 0..5 {
        let name = h.name()?;
        let mut racers = Vec::new();
        for client in &clients {
            let (client, request) = (client.clone(), client.request(&name, Mode::Try));
            racers.push(h.spawn(async move { Ok(client.attempt(&request).await?.ok()) }));
        }
        let mut tokens = Vec::new();
        for racer in racers {
            tokens.extend(racer.join().await?.map(|held| held.token().value()));
        }
        ensure!(
            tokens.len() == 1,
            "of 8 attempts at once {} were granted, with tokens {tokens:?}",
            tokens.len()
        );
    }
    Ok(())
}

pub(super) async fn a_lease_ends_after_its_ttl_and_not_before(h: &Harness<'_>) -> Verdict {
    let (holder, next) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, SHORT).await?;
    holder.until_expired(&held).await?;
    next.lock(&held.name, LONG).await?;
    Ok(())
}

/// Four lockers take turns; a counter sees every overlap.
pub(super) async fn contending_lockers_never_overlap(h: &Harness<'_>) -> Verdict {
    const TURNS: usize = 3;
    let name = h.name()?;
    let inside = Arc::new(AtomicUsize::new(0));
    let mut parts = Vec::new();
    for _ in 0..4 {
        let (locker, name, inside) = (h.locker().await?, name.clone(), inside.clone());
        let runtime = h.runtime().clone();
        parts.push(h.spawn(async move {
            for _ in 0..TURNS {
                let lock = locker.lock(name.as_str()).wait(3 * EVENTUALLY);
                let guard = lock
                    .acquire()
                    .await
                    .map_err(|error| Stop::error("waiting for a turn", error))?;
                ensure!(
                    inside.fetch_add(1, Ordering::SeqCst) == 0,
                    "two lockers were inside at once"
                );
                // Long enough for the others to come in if they could.
                runtime.sleep(Duration::from_millis(5)).await;
                inside.fetch_sub(1, Ordering::SeqCst);
                guard
                    .release()
                    .await
                    .map_err(|error| Stop::error("releasing after a turn", error))?;
            }
            Ok(())
        }));
    }
    for part in parts {
        part.join().await?;
    }
    Ok(())
}
