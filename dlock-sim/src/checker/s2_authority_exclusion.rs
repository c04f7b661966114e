//! S2: authority intervals of one lock do not overlap, on one server and between servers.
//!
//! One attempt on two servers is one holder (a replica that was promoted with the key). Two foreign holders cannot be
//! told apart and are not compared. Put to the test by every attempt of a locker that reached for a lock of somebody
//! else: it began, or was answered, while the store said that the lock is another's.

use std::collections::BTreeMap;

use super::finding::{At, Finding};
use super::history::{Authority, Call, History, Span, Timeline};
use super::{Property, PropertyResult};
use crate::trace::CallKind;
use crate::words::Seconds;

pub(super) fn check(history: &History<'_>) -> PropertyResult {
    if !history.has_authority() {
        return Finding::unknown(Property::S2, "the trace does not say what the servers said");
    }
    let mut finding = Finding::new(Property::S2);
    let mut attempts: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
    let calls = history.operations.calls.iter();
    for call in calls.filter(|call| call.kind == CallKind::Attempt) {
        attempts.entry(call.name).or_default().push(call);
    }
    for (name, authorities) in history.authorities_by_name() {
        let timeline = Timeline::new(authorities.iter().map(|authority| authority.span));
        for (index, authority) in authorities.iter().enumerate() {
            if authority.span.is_empty() {
                continue;
            }
            let begins = Span {
                from: authority.span.from,
                to: authority.span.from,
            };
            let mut earlier = timeline.touching(begins).filter(|other| *other < index);
            if let Some(other) =
                earlier.find(|other| authorities[*other].attempt != authority.attempt)
            {
                report(history, &mut finding, authorities[other], authority);
            }
        }
        for call in attempts.get(name).into_iter().flatten() {
            let to = call.answer.map_or(call.t_ns, |answer| answer.t_ns);
            let mut met = timeline.touching(Span {
                from: call.t_ns,
                to,
            });
            if met.any(|index| authorities[index].attempt != call.attempt) {
                finding.exercise();
            }
        }
    }
    finding.finish("nobody asked for a lock that was somebody else's")
}

fn report(
    history: &History<'_>,
    finding: &mut Finding,
    first: &Authority<'_>,
    second: &Authority<'_>,
) {
    let message = format!(
        "{} said from {} on that {} belongs to {}, while {} said from {} to {} that it belongs to {}",
        second.server,
        Seconds(second.span.from),
        second.name,
        history.holder(second),
        if first.server == second.server {
            "it"
        } else {
            first.server
        },
        Seconds(first.span.from),
        Seconds(first.span.to),
        history.holder(first),
    );
    let mut nodes = vec![first.server, second.server];
    nodes.extend(history.owner(first));
    nodes.extend(history.owner(second));
    let at = At {
        seq: second.seq,
        t_ns: second.span.from,
        with: &[first.seq],
        name: Some(second.name),
        nodes: &nodes,
    };
    finding.violate(at, message);
}
