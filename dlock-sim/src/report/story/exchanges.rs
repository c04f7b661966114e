//! Which server's doing belongs to which call of a client. Traces do not say so: this infers it.

use std::collections::{BTreeMap, BTreeSet};

use super::Material;
use crate::trace::{CallKind, Event, Kind, Outcome};

/// A call, what servers did about it, and its answer.
pub(super) struct Exchange<'a> {
    pub call: &'a Event,
    pub kind: CallKind,
    /// The first and the last thing that a server did.
    pub served: Option<(&'a Event, &'a Event)>,
    pub answer: Option<(&'a Event, Outcome)>,
}

/// An answer as quick as this came from nowhere but the client itself.
const QUICK_NS: u64 = 50_000_000;

impl Exchange<'_> {
    /// Whether it was sent, and nobody answered.
    pub fn is_unheard(&self) -> bool {
        let Some((answer, outcome)) = self.answer else {
            return true;
        };
        let none = matches!(
            outcome,
            Outcome::Indeterminate | Outcome::Unavailable | Outcome::Dropped
        );
        none && answer.t_ns.saturating_sub(self.call.t_ns) > QUICK_NS
    }
}

/// All calls, by their beginning.
///
/// A call is paired with what a server did for its client before the answer came, if that is of a sort that calls of its
/// kind lead to: known from calls that were alone. What is left over, afterwards, is what arrived late.
pub(super) fn exchanges<'a>(material: &Material<'a>) -> Vec<Exchange<'a>> {
    let mut exchanges = calls(material);
    let mut deeds = deeds(material);
    let sorts = sorts(&exchanges, &deeds);
    let fits = |kind: CallKind, deed: &Event| {
        let known = sorts.get(&word(kind));
        known.is_none_or(|known| sort(deed).is_some_and(|sort| known.contains(sort)))
    };
    for exchange in &mut exchanges {
        let Some(deeds) = deeds.get_mut(exchange.call.node.as_str()) else {
            continue;
        };
        let until = exchange.answer.map_or(u64::MAX, |(answer, _)| answer.t_ns);
        let from = deeds.partition_point(|deed| deed.t_ns < exchange.call.t_ns);
        let to = deeds.partition_point(|deed| deed.t_ns <= until);
        let (call, kind) = (exchange.call, exchange.kind);
        let within = (from..to)
            .filter(|at| fits(kind, deeds[*at]))
            .collect::<Vec<_>>();
        // Without an answer, only the first: the others are of later calls.
        let mine = match exchange.answer {
            Some(_) => &within[..],
            None => &within[..within.len().min(1)],
        };
        if let (Some(first), Some(last)) = (mine.first(), mine.last()) {
            exchange.served = Some((deeds[*first], deeds[*last]));
            for at in mine.iter().rev() {
                deeds.remove(*at);
            }
        }
        debug_assert!(call.t_ns <= until);
    }
    for exchange in &mut exchanges {
        if exchange.served.is_some() || !exchange.is_unheard() {
            continue;
        }
        let Some(deeds) = deeds.get_mut(exchange.call.node.as_str()) else {
            continue;
        };
        let from = deeds.partition_point(|deed| deed.t_ns < exchange.call.t_ns);
        let known = sorts.contains_key(&word(exchange.kind));
        let late = (from..deeds.len()).find(|at| known && fits(exchange.kind, deeds[*at]));
        if let Some(late) = late {
            let deed = deeds.remove(late);
            exchange.served = Some((deed, deed));
        }
    }
    exchanges
}

fn calls<'a>(material: &Material<'a>) -> Vec<Exchange<'a>> {
    let answers: BTreeMap<u64, (&Event, Outcome)> = material
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            Kind::Answer { op, outcome, .. } => Some((*op, (*event, *outcome))),
            _ => None,
        })
        .collect();
    let call = |event: &&'a Event| match &event.kind {
        Kind::Call { op, call, .. } => Some(Exchange {
            call: event,
            kind: *call,
            served: None,
            answer: answers.get(op).copied(),
        }),
        _ => None,
    };
    material.events.iter().filter_map(call).collect()
}

/// What servers did for each client, by time.
fn deeds<'a>(material: &Material<'a>) -> BTreeMap<&'a str, Vec<&'a Event>> {
    let mut deeds: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in &material.events {
        if let Kind::Server {
            what,
            peer: Some(peer),
        } = &event.kind
            && !is_greeting(what)
            && what != "replicated"
        {
            deeds.entry(peer).or_default().push(event);
        }
    }
    deeds
}

/// What calls of each kind lead to, by those that were alone when they were answered.
fn sorts<'a>(
    exchanges: &[Exchange<'a>],
    deeds: &BTreeMap<&'a str, Vec<&'a Event>>,
) -> BTreeMap<u8, BTreeSet<&'a str>> {
    let mut sorts: BTreeMap<u8, BTreeSet<&str>> = BTreeMap::new();
    let mut busy_until: BTreeMap<&str, u64> = BTreeMap::new();
    for (index, exchange) in exchanges.iter().enumerate() {
        let client = exchange.call.node.as_str();
        let from = exchange.call.t_ns;
        let until = exchange.answer.map_or(u64::MAX, |(answer, _)| answer.t_ns);
        let before = busy_until.insert(
            client,
            until.max(busy_until.get(client).copied().unwrap_or(0)),
        );
        let later = exchanges[index + 1..]
            .iter()
            .find(|later| later.call.node == client);
        let alone = before.is_none_or(|before| before < from)
            && later.is_none_or(|later| later.call.t_ns > until);
        let answered = exchange.answer.is_some_and(|(_, outcome)| {
            !matches!(
                outcome,
                Outcome::Indeterminate | Outcome::Unavailable | Outcome::Dropped
            )
        });
        let Some(deeds) = deeds.get(client).filter(|_| alone && answered) else {
            continue;
        };
        let within = deeds
            .iter()
            .filter(|deed| from <= deed.t_ns && deed.t_ns <= until);
        let known = sorts.entry(word(exchange.kind)).or_default();
        known.extend(within.filter_map(|deed| sort(deed)));
    }
    sorts
}

/// Of what sort a deed is: the command, or the script.
fn sort(deed: &Event) -> Option<&str> {
    match &deed.kind {
        Kind::Server { what, .. } => what.split(' ').next_back(),
        _ => None,
    }
}

/// An order for the kinds.
fn word(kind: CallKind) -> u8 {
    match kind {
        CallKind::Attempt => 0,
        CallKind::Renew => 1,
        CallKind::Release => 2,
        CallKind::ForceRelease => 3,
        CallKind::Inspect => 4,
    }
}

/// What a client says before it asks for anything.
fn is_greeting(what: &str) -> bool {
    ["CLIENT", "HELLO", "SELECT", "PING", "ROLE", "SUBSCRIBE"]
        .iter()
        .any(|word| what.starts_with(word))
}

/// Each request of a client to the storage, and what came of it there; an access whose sending was not recorded has none.
///
/// A connection carries one request at a time: an answer on it tells which access it was. The others are taken in order.
pub(super) fn accesses<'a>(
    material: &Material<'a>,
    client: &str,
) -> Vec<(Option<&'a Event>, Option<&'a Event>)> {
    let mut left: Vec<&Event> = Vec::new();
    let mut sends: Vec<(&Event, u64, Option<u64>)> = Vec::new();
    for event in &material.events {
        match &event.kind {
            Kind::Storage { by, .. } if by == client => left.push(event),
            Kind::Send {
                peer, connection, ..
            } if event.node == client && peer == "storage" => {
                sends.push((event, *connection, None));
            }
            Kind::Recv {
                peer,
                connection,
                bytes,
            } if event.node == client && peer == "storage" && *bytes > 0 => {
                let open = sends.iter_mut().rfind(|(_, on, _)| on == connection);
                if let Some((_, _, answered @ None)) = open {
                    *answered = Some(event.t_ns);
                }
            }
            _ => {}
        }
    }
    let mut pairs: Vec<(Option<&Event>, Option<&Event>)> = Vec::new();
    sends.retain(|(sent, _, answered)| {
        let Some(answered) = answered else {
            return true;
        };
        let within = |access: &&Event| sent.t_ns <= access.t_ns && access.t_ns <= *answered;
        match left.iter().rposition(within) {
            Some(at) => pairs.push((Some(sent), Some(left.remove(at)))),
            None => pairs.push((Some(sent), None)),
        }
        false
    });
    for (sent, ..) in sends {
        let late = left.iter().position(|access| sent.t_ns <= access.t_ns);
        pairs.push((Some(sent), late.map(|at| left.remove(at))));
    }
    pairs.extend(left.into_iter().map(|access| (None, Some(access))));
    pairs
}

/// Every access whose sending is known, with its client.
pub(super) fn all_accesses<'a>(material: &Material<'a>) -> Vec<(&'a str, &'a Event, &'a Event)> {
    let clients = material.header.nodes.iter();
    let of_client = clients.flat_map(|node| {
        let pairs = accesses(material, &node.name).into_iter();
        pairs.filter_map(|(sent, access)| Some((node.name.as_str(), sent?, access?)))
    });
    of_client.collect()
}
