use std::collections::BTreeMap;

use super::{Material, exchanges};
use crate::trace::{CallKind, Event, Kind, Outcome};

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Arrow {
    pub from: usize,
    pub to: usize,
    pub sent_ns: u64,
    pub received_ns: u64,
    pub kind: ArrowKind,
    pub fate: Fate,
    /// The colour of the client.
    pub colour: usize,
    pub title: String,
}

/// What it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArrowKind {
    /// Between a client and a server.
    Request,
    /// A renewal: one of many.
    Renewal,
    /// To the protected storage.
    Access,
    /// From a primary to its replica.
    Replication,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    /// It was on its way for long.
    Held,
    Lost,
}

/// On its way for longer than this, a message was held up.
const LONG_NS: u64 = 500_000_000;

/// More than these make a picture black.
const MOST: usize = 600;

/// The messages, and how many were left out.
pub(super) fn arrows(material: &Material<'_>) -> (Vec<Arrow>, usize) {
    let mut arrows = calls(material);
    arrows.extend(accesses(material));
    arrows.extend(replications(material));
    arrows.retain(|arrow| arrow.sent_ns <= material.end_ns);
    let all = arrows.len();
    let every = all.div_ceil(MOST).max(1);
    let arrows: Vec<Arrow> = arrows.into_iter().step_by(every).collect();
    let left_out = all - arrows.len();
    (arrows, left_out)
}

/// A call of a client, and what came back.
fn calls(material: &Material<'_>) -> Vec<Arrow> {
    let mut arrows = Vec::new();
    for exchange in exchanges::exchanges(material) {
        let Some(client) = material.lane(&exchange.call.node) else {
            continue;
        };
        let colour = material.lanes[client].colour;
        let kind = match exchange.kind {
            CallKind::Renew => ArrowKind::Renewal,
            _ => ArrowKind::Request,
        };
        let arrow = |from, to, sent_ns, received_ns, fate, title| Arrow {
            from,
            to,
            sent_ns,
            received_ns,
            kind,
            fate,
            colour,
            title,
        };
        let (who, word) = (&material.lanes[client].title, word(exchange.kind));
        let sent_ns = exchange.call.t_ns;
        let Some((first, last)) = exchange.served else {
            // Its servers may be many: the message is drawn towards the first.
            if exchange.is_unheard() {
                let title = format!("no server is seen to get {who}'s {word}");
                arrows.push(arrow(client, 0, sent_ns, sent_ns, Fate::Lost, title));
            }
            continue;
        };
        let lane = |event: &Event| material.lane(&event.node).unwrap_or_default();
        let title = format!("{who}'s {word} to {}", first.node);
        let fate = held(sent_ns, first.t_ns);
        arrows.push(arrow(client, lane(first), sent_ns, first.t_ns, fate, title));
        let Some((answer, outcome)) = exchange.answer else {
            continue;
        };
        let useless = matches!(outcome, Outcome::Indeterminate | Outcome::Dropped);
        let (fate, title) = match useless || last.t_ns > answer.t_ns {
            true => (
                Fate::Lost,
                format!("{}'s answer is of no use to {who}", last.node),
            ),
            false => (
                held(last.t_ns, answer.t_ns),
                format!("{} answers {who}", last.node),
            ),
        };
        let received = match fate {
            Fate::Lost => last.t_ns,
            _ => answer.t_ns,
        };
        arrows.push(arrow(lane(last), client, last.t_ns, received, fate, title));
    }
    arrows
}

fn word(call: CallKind) -> &'static str {
    match call {
        CallKind::Attempt => "attempt",
        CallKind::Renew => "renewal",
        CallKind::Release => "release",
        CallKind::ForceRelease => "forced release",
        CallKind::Inspect => "look",
    }
}

fn held(sent_ns: u64, received_ns: u64) -> Fate {
    match received_ns.saturating_sub(sent_ns) > LONG_NS {
        true => Fate::Held,
        false => Fate::Delivered,
    }
}

fn accesses(material: &Material<'_>) -> Vec<Arrow> {
    let Some(storage) = material.lane("storage") else {
        return Vec::new();
    };
    let mut arrows = Vec::new();
    for (client, lane) in material.lanes.iter().enumerate() {
        let paired = exchanges::accesses(material, &lane.node);
        arrows.extend(paired.into_iter().map(|(sent, access)| {
            let sent_ns = sent.or(access).map_or(0, |event| event.t_ns);
            let received_ns = access.map_or(sent_ns, |access| access.t_ns);
            let who = &lane.title;
            Arrow {
                from: client,
                to: storage,
                sent_ns,
                received_ns,
                kind: ArrowKind::Access,
                fate: match access {
                    Some(_) => held(sent_ns, received_ns),
                    None => Fate::Lost,
                },
                colour: lane.colour,
                title: match access {
                    Some(_) => format!("{who} reaches for the storage"),
                    None => format!("the storage is not seen to get {who}'s request"),
                },
            }
        }));
    }
    arrows
}

fn replications(material: &Material<'_>) -> Vec<Arrow> {
    let by_seq: BTreeMap<u64, &Event> = material
        .events
        .iter()
        .map(|event| (event.seq, *event))
        .collect();
    let mut arrows = Vec::new();
    for event in &material.events {
        let Kind::Server {
            what,
            peer: Some(primary),
        } = &event.kind
        else {
            continue;
        };
        let lanes = material.lane(primary).zip(material.lane(&event.node));
        let Some((from, to)) = lanes.filter(|_| what == "replicated") else {
            continue;
        };
        let cause = event.cause.and_then(|cause| by_seq.get(&cause));
        let sent_ns = cause.map_or(event.t_ns, |cause| cause.t_ns);
        arrows.push(Arrow {
            from,
            to,
            sent_ns,
            received_ns: event.t_ns,
            kind: ArrowKind::Replication,
            fate: held(sent_ns, event.t_ns),
            colour: 0,
            title: format!("{primary} replicates to {}", event.node),
        });
    }
    arrows
}
