//! S3: once a holder has reached a protected resource, no older one does.
//!
//! Reaching it is an accepted claim, write or read. From then on, on behalf of a lower token, or of the same token and
//! another attempt, none of these may be accepted: a claim, a write, a read that showed its stamp to the fence. (A
//! plain read changes nothing and shows nothing that could be refused.) It makes no difference whether the request was
//! fenced: without a fence the trace says whose it was.
//!
//! Tokens of two locks do not compare: accesses on behalf of attempts of different locks are not compared. Put to the
//! test by every access, accepted or refused, to a resource that another holder has reached before.

use std::collections::BTreeMap;

use super::finding::{At, Finding};
use super::history::History;
use super::{Property, PropertyResult};
use crate::trace::{Event, Kind, StorageAccess};
use crate::words::Seconds;

/// The newest holder that has reached a resource.
#[derive(Clone, Copy)]
struct Newest<'a> {
    token: u64,
    attempt: &'a str,
    by: &'a str,
    access: StorageAccess,
    event: &'a Event,
}

pub(super) fn check(history: &History<'_>) -> PropertyResult {
    let mut finding = Finding::new(Property::S3);
    let mut newest: BTreeMap<(&str, Option<&str>), Newest> = BTreeMap::new();
    let names = names(history);
    for event in &history.events {
        let Kind::Storage {
            resource,
            access,
            by,
            attempt: Some(attempt),
            token: Some(token),
            fenced,
            accepted,
            ..
        } = &event.kind
        else {
            continue;
        };
        let lock = names.get(&attempt[..]).copied();
        let this = Newest {
            token: *token,
            attempt,
            by,
            access: *access,
            event,
        };
        let Some(before) = newest.get(&(&resource[..], lock)).copied() else {
            if *accepted {
                newest.insert((resource, lock), this);
            }
            continue;
        };
        if before.attempt != attempt || before.token != *token {
            finding.exercise();
        }
        if !accepted {
            continue;
        }
        let stale = *token < before.token || (*token == before.token && before.attempt != attempt);
        let harmless = *access == StorageAccess::Read && !fenced;
        if stale && !harmless {
            report(&mut finding, resource, lock, before, this);
        } else if !stale {
            newest.insert((resource, lock), this);
        }
    }
    finding.finish("no resource was reached by two holders")
}

/// The lock of each attempt.
fn names<'a>(history: &History<'a>) -> BTreeMap<&'a str, &'a str> {
    let granted = history.beliefs.iter();
    let granted = granted.map(|belief| (belief.attempt, belief.name));
    let asked = history.operations.calls.iter();
    let asked = asked.filter_map(|call| Some((call.attempt?, call.name)));
    granted.chain(asked).collect()
}

fn report(
    finding: &mut Finding,
    resource: &str,
    lock: Option<&str>,
    before: Newest<'_>,
    stale: Newest<'_>,
) {
    let message = format!(
        "{resource} accepted {} of {} with token {} at {}, after {} had {} it with token {} at {}",
        match stale.access {
            StorageAccess::Claim => "a claim",
            StorageAccess::Read => "a read",
            StorageAccess::Write => "a write",
        },
        stale.by,
        stale.token,
        Seconds(stale.event.t_ns),
        before.by,
        match before.access {
            StorageAccess::Claim => "claimed",
            StorageAccess::Read => "read",
            StorageAccess::Write => "written",
        },
        before.token,
        Seconds(before.event.t_ns),
    );
    let at = At {
        seq: stale.event.seq,
        t_ns: stale.event.t_ns,
        with: &[before.event.seq],
        name: lock,
        nodes: &[stale.by, before.by, &stale.event.node],
    };
    finding.violate(at, message);
}
