//! Two different names never meet, whatever is in them.

use crate::conformance::client::Client;
use crate::conformance::harness::Harness;
use crate::conformance::held::LONG;
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::store::{AttemptRequest, Mode, Renewed};
use crate::{LockName, OwnerLabel};

/// Put behind or before the same unique text: what stores have been seen to fold, cut, escape,
/// split, or take for their own syntax.
const ODD: [&str; 35] = [
    "",
    "a",
    "A",
    "ab",
    "a/b",
    "a/",
    "/",
    "a%2Fb",
    "a%2fb",
    "%",
    "%25",
    "{a}",
    "a{b}",
    "a}b{",
    "}",
    "{}",
    "a:b",
    ":fence",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\0",
    "a\0b",
    "a\0c",
    "*",
    "a?",
    "\\",
    "\"",
    "'",
    "é",
    "e\u{301}",
    "ß",
    "\u{10ffff}",
];

pub(super) async fn names_that_look_alike_never_meet(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    let mut held = Vec::new();
    // Labels tell the locks apart: tokens of two names may be the same.
    for (index, name) in look_alikes(h)?.into_iter().enumerate() {
        let label = OwnerLabel::new(format!("lock {index}"));
        let request = client.request(&name, Mode::Try).labelled(label.clone());
        let lock = client
            .granted(
                &request,
                &format!("of {name:?} while names like it are held"),
            )
            .await?;
        held.push((lock, label));
    }
    // From both ends, so that each release could hit a neighbour that is still held.
    let mut from_the_back = false;
    while !held.is_empty() {
        let released = if from_the_back { held.len() - 1 } else { 0 };
        from_the_back = !from_the_back;
        let (lock, _) = held.remove(released);
        ensure!(
            client.release(&lock).await?,
            "the release of {:?} removed nothing",
            lock.name
        );
        for (lock, label) in held.iter().take(3) {
            let seen = client
                .expect_held(
                    lock,
                    &format!("as {:?}, while names like it are released", lock.name),
                )
                .await?;
            ensure!(
                seen.label.as_ref() == Some(label),
                "{:?} is held by {:?}",
                lock.name,
                seen.label
            );
        }
    }
    Ok(())
}

pub(super) async fn every_name_can_be_locked(h: &Harness<'_>) -> Verdict {
    let client = h.client().await?;
    for name in look_alikes(h)? {
        whole_life(&client, &name)
            .await
            .map_err(|stop| match stop {
                Stop::Failed(sentence) => Stop::Failed(format!("name {name:?}: {sentence}")),
                skipped => skipped,
            })?;
    }
    Ok(())
}

async fn whole_life(client: &Client, name: &LockName) -> Verdict {
    let held = client.lock(name, LONG).await?;
    let waiting = AttemptRequest {
        ttl: held.ttl,
        ..client.request(name, Mode::Queue)
    };
    client.refused(&waiting, "while the lock is held").await?;
    client.release_attempt(&waiting).await?;
    let answer = client.renew(&held, LONG).await?;
    ensure!(
        matches!(answer, Renewed::Until(_)),
        "a renewal was answered {answer:?}"
    );
    client.expect_held(&held, "after a renewal").await?;
    ensure!(
        client.release(&held).await?,
        "the release of a held lock removed nothing"
    );
    client.expect_free(name, "after its release").await?;
    ensure!(
        !client.force_release(name).await?,
        "the forced release of a free lock removed something"
    );
    Ok(())
}

fn look_alikes(h: &Harness<'_>) -> Result<Vec<LockName>, Stop> {
    let unique = h.unique();
    let behind = ODD.iter().map(|odd| format!("{unique}{odd}"));
    let before = ODD
        .iter()
        .filter(|odd| !odd.is_empty())
        .map(|odd| format!("{odd}{unique}"));
    let long = |last: &str| {
        format!(
            "{unique:x<width$}{last}",
            width = LockName::MAX_BYTES - last.len()
        )
    };
    behind
        .chain(before)
        .chain(["y", "z"].map(long))
        .map(|name| h.named(name))
        .collect()
}
