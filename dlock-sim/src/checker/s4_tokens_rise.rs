//! S4: tokens are unique and rise, and renewal leaves them alone.
//!
//! For each lock: no two attempts have the same token, whether a client, an answer or a server names it. A token that
//! was handed to user code before another acquisition began (its `acquire`; else the first `attempt` for it) is smaller
//! than the other's. A renewal, at the client or at a server, names the token that the grant had. Put to the test by
//! every grant to user code that comes after another one of its lock in this sense, and by every renewal.

use std::collections::BTreeMap;

use super::finding::{At, Finding};
use super::history::{Belief, History, short};
use super::{Property, PropertyResult};
use crate::trace::{CallKind, Event, Kind, Outcome};
use crate::words::Seconds;

pub(super) fn check(history: &History<'_>) -> PropertyResult {
    let mut finding = Finding::new(Property::S4);
    unique(history, &mut finding);
    for beliefs in history.beliefs_by_name().values() {
        rising(history, &mut finding, beliefs);
    }
    unchanged(history, &mut finding);
    finding.finish("no lock was handed out twice in a row, and none was renewed")
}

/// Somebody names the token of an attempt.
struct Named<'a> {
    name: &'a str,
    token: u64,
    attempt: &'a str,
    node: &'a str,
    t_ns: u64,
    seq: u64,
}

fn unique(history: &History<'_>, finding: &mut Finding) {
    let mut first: BTreeMap<(&str, u64), Named> = BTreeMap::new();
    let mut reported: BTreeMap<(&str, u64, &str), ()> = BTreeMap::new();
    for named in all_named(history) {
        let key = (named.name, named.token);
        let Some(other) = first.get(&key) else {
            first.insert(key, named);
            continue;
        };
        let again = (named.name, named.token, named.attempt);
        if other.attempt == named.attempt || reported.insert(again, ()).is_some() {
            continue;
        }
        let owner = |of: &Named<'_>| match history.operations.owner(of.name, of.attempt) {
            Some(owner) => owner.to_owned(),
            None => format!("attempt {}", short(of.attempt)),
        };
        let message = format!(
            "token {} of {} was given to {} at {} and to {} at {}",
            named.token,
            named.name,
            owner(other),
            Seconds(other.t_ns),
            owner(&named),
            Seconds(named.t_ns),
        );
        let at = At {
            seq: named.seq,
            t_ns: named.t_ns,
            with: &[other.seq],
            name: Some(named.name),
            nodes: &[other.node, named.node],
        };
        finding.violate(at, message);
    }
}

/// Everything that names a token, in order.
fn all_named<'a>(history: &History<'a>) -> Vec<Named<'a>> {
    let event = |event: &'a Event| match &event.kind {
        Kind::Granted {
            name,
            attempt,
            token,
            ..
        }
        | Kind::AuthorityBegins {
            name,
            attempt: Some(attempt),
            token: Some(token),
            ..
        } => Some(Named {
            name,
            token: *token,
            attempt,
            node: &event.node,
            t_ns: event.t_ns,
            seq: event.seq,
        }),
        _ => None,
    };
    let mut all: Vec<Named> = history.events.iter().filter_map(|one| event(one)).collect();
    let calls = history.operations.calls.iter();
    all.extend(calls.filter_map(|call| {
        let answer = call
            .answer
            .filter(|answer| answer.outcome == Outcome::Granted)?;
        Some(Named {
            name: call.name,
            token: answer.token?,
            attempt: call.attempt?,
            node: call.node,
            t_ns: answer.t_ns,
            seq: answer.seq,
        })
    }));
    all.sort_by_key(|named| (named.t_ns, named.seq));
    all
}

/// `beliefs` are of one lock, by their beginning.
fn rising(history: &History<'_>, finding: &mut Finding, beliefs: &[&Belief<'_>]) {
    // The highest token of each belief and all before it.
    let highest: Vec<&Belief> = beliefs
        .iter()
        .scan(None, |highest: &mut Option<&Belief>, belief| {
            let kept = highest.filter(|kept| kept.token >= belief.token);
            *highest = Some(kept.unwrap_or(belief));
            *highest
        })
        .collect();
    for belief in beliefs {
        let Some((t_ns, seq)) = began(history, belief) else {
            continue;
        };
        // Between machines only time orders.
        let before = beliefs.partition_point(|other| {
            let earlier = other.span.from < t_ns;
            earlier || (other.span.from == t_ns && other.node == belief.node && other.seq < seq)
        });
        let Some(highest) = before.checked_sub(1).map(|index| highest[index]) else {
            continue;
        };
        finding.exercise();
        if highest.attempt == belief.attempt || highest.token < belief.token {
            continue;
        }
        let message = format!(
            "{} asked for {} at {} and was given token {}, but token {} had been handed to {} at {} already",
            belief.node,
            belief.name,
            Seconds(t_ns),
            belief.token,
            highest.token,
            highest.node,
            Seconds(highest.span.from),
        );
        let at = At {
            seq: belief.seq,
            t_ns: belief.span.from,
            with: &[highest.seq, seq],
            name: Some(belief.name),
            nodes: &[highest.node, belief.node],
        };
        finding.violate(at, message);
    }
}

/// When the acquisition of this belief began.
fn began(history: &History<'_>, belief: &Belief<'_>) -> Option<(u64, u64)> {
    let operations = &history.operations;
    let acquire = operations
        .acquire(belief.op)
        .filter(|acquire| acquire.name == belief.name);
    let acquire = acquire.map(|acquire| (acquire.t_ns, acquire.seq));
    let mut attempts = operations
        .of_attempt(belief.name, belief.attempt)
        .filter(|call| call.kind == CallKind::Attempt);
    acquire.or_else(|| attempts.next().map(|call| (call.t_ns, call.seq)))
}

fn unchanged(history: &History<'_>, finding: &mut Finding) {
    let mut granted: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
    for event in &history.events {
        match &event.kind {
            Kind::Granted {
                name,
                attempt,
                token,
                ..
            } => {
                granted.entry((name, attempt)).or_default().push(*token);
            }
            Kind::DeadlineMoved {
                name,
                attempt,
                token,
                ..
            } => {
                let Some(tokens) = granted.get(&(&name[..], &attempt[..])) else {
                    continue;
                };
                finding.exercise();
                if !tokens.contains(token) {
                    let at = At {
                        seq: event.seq,
                        t_ns: event.t_ns,
                        with: &[],
                        name: Some(name),
                        nodes: &[&event.node],
                    };
                    finding.violate(
                        at,
                        changed(
                            &event.node,
                            name,
                            tokens.first().copied(),
                            *token,
                            event.t_ns,
                        ),
                    );
                }
            }
            _ => {}
        }
    }
    for authority in &history.authorities {
        for moved in &authority.moves {
            finding.exercise();
            let (Some(had), Some(has)) = (authority.token, moved.token) else {
                continue;
            };
            if had != has {
                let at = At {
                    seq: moved.seq,
                    t_ns: moved.t_ns,
                    with: &[authority.seq],
                    name: Some(authority.name),
                    nodes: &[authority.server],
                };
                finding.violate(
                    at,
                    changed(authority.server, authority.name, Some(had), has, moved.t_ns),
                );
            }
        }
    }
}

fn changed(node: &str, name: &str, had: Option<u64>, has: u64, t_ns: u64) -> String {
    let had = crate::words::Token(had);
    format!(
        "at {node} the renewal of {name} at {} names token {has}, but its grant has {had}",
        Seconds(t_ns)
    )
}
