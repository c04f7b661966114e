use std::collections::BTreeMap;

use super::Material;
use crate::checker::{Interval, IntervalKind, intervals};
use crate::trace::{Event, Kind, Role};
use crate::words::Seconds;

/// Who owned a lock from when to when, and in whose eyes; in the lane of the client.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub lane: usize,
    pub kind: BarKind,
    pub colour: usize,
    pub token: Option<u64>,
    pub from_ns: u64,
    pub to_ns: u64,
    /// Of an authority: from each of these times on it would end at the second, if nothing came between.
    pub ends: Vec<(u64, Option<u64>)>,
    pub title: String,
}

/// In whose eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BarKind {
    /// The client's.
    Believed,
    /// Nobody's: the client goes on.
    Acting,
    /// The store's.
    Authority,
}

/// A machine that does not run as it should.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    pub lane: usize,
    pub kind: BandKind,
    pub from_ns: u64,
    pub to_ns: u64,
    pub text: String,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BandKind {
    /// It stands still.
    Still,
    /// It is down.
    Down,
    /// Its clock is wrong.
    Clock,
}

/// Two clients that believe at once.
#[derive(Clone, Debug)]
pub(crate) struct Overlap {
    pub lanes: (usize, usize),
    pub from_ns: u64,
    pub to_ns: u64,
    pub text: String,
}

pub(super) fn bars(material: &Material<'_>, events: &[Event]) -> Vec<Bar> {
    let all = intervals(material.header, events);
    let until: BTreeMap<(Option<&str>, u64), u64> = all
        .iter()
        .filter(|one| one.kind == IntervalKind::Believed)
        .map(|one| ((one.attempt.as_deref(), one.from_ns), one.to_ns))
        .collect();
    let believed_until = |of: &Interval| {
        let known = until.get(&(of.attempt.as_deref(), of.from_ns));
        known.copied().unwrap_or(of.from_ns)
    };
    let moves = moves(material);
    let mut bars = Vec::new();
    for interval in &all {
        let (kind, node, from_ns) = match interval.kind {
            IntervalKind::Believed => (BarKind::Believed, Some(&*interval.node), interval.from_ns),
            IntervalKind::Acting => {
                let from = believed_until(interval);
                (BarKind::Acting, Some(&*interval.node), from)
            }
            IntervalKind::Authority => {
                let owner = material.owner(interval.attempt.as_deref());
                (BarKind::Authority, owner, interval.from_ns)
            }
        };
        let to_ns = interval.to_ns.min(material.end_ns);
        let node = node.or_else(|| foreign_lane(material));
        let Some(lane) = node.and_then(|node| material.lane(node)) else {
            continue;
        };
        if from_ns >= to_ns {
            continue;
        }
        let owner = material.lanes[lane].title.clone();
        let token = material.tokens.short(interval.token);
        let (from, to) = (Seconds(from_ns), Seconds(to_ns));
        let title = match kind {
            BarKind::Believed => {
                format!("{owner} believes that it holds the lock (token {token}): {from} to {to}")
            }
            BarKind::Acting => {
                format!(
                    "{owner} acts on, or what it sent takes effect, after its belief has ended (token {token}): {from} to {to}"
                )
            }
            BarKind::Authority if interval.attempt.is_none() => {
                format!(
                    "{} says that somebody without dlock holds the lock: {from} to {to}",
                    interval.node
                )
            }
            BarKind::Authority => {
                format!(
                    "{} says that {owner} holds the lock (token {token}): {from} to {to}",
                    interval.node
                )
            }
        };
        bars.push(Bar {
            lane,
            kind,
            colour: material.lanes[lane].colour,
            token: interval.token,
            from_ns,
            to_ns,
            ends: match kind {
                BarKind::Authority => ends(&moves, interval),
                _ => Vec::new(),
            },
            title,
        });
    }
    bars
}

/// Who holds a lock without dlock is drawn where the first server is.
fn foreign_lane<'a>(material: &'a Material<'_>) -> Option<&'a str> {
    let server = material.lanes.iter().find(|lane| lane.role == Role::Server);
    server.map(|lane| lane.node.as_str())
}

/// Node and attempt; of each, when the store said that it would end, each time that it said so.
type Moves<'a> = BTreeMap<(&'a str, Option<&'a str>), Vec<(u64, Option<u64>)>>;

fn moves<'a>(material: &Material<'a>) -> Moves<'a> {
    let mut moves = Moves::new();
    for event in &material.events {
        if let Kind::AuthorityBegins {
            attempt, until_ns, ..
        }
        | Kind::AuthorityMoved {
            attempt, until_ns, ..
        } = &event.kind
        {
            let place = moves.entry((&event.node, attempt.as_deref())).or_default();
            place.push((event.t_ns, *until_ns));
        }
    }
    moves
}

fn ends(moves: &Moves<'_>, of: &Interval) -> Vec<(u64, Option<u64>)> {
    let all = moves.get(&(of.node.as_str(), of.attempt.as_deref()));
    let all = all.map_or(&[][..], Vec::as_slice);
    let from = all.partition_point(|(t_ns, _)| *t_ns < of.from_ns);
    let to = all.partition_point(|(t_ns, _)| *t_ns < of.to_ns);
    all[from..to.max(from)].to_vec()
}

pub(super) fn bands(material: &Material<'_>) -> Vec<Band> {
    let mut bands = Vec::new();
    for (lane, machine) in material.lanes.iter().enumerate() {
        let of_machine = material
            .events
            .iter()
            .filter(|event| event.node == machine.node);
        let mut still: Option<(u64, BandKind, &str)> = None;
        let mut clock: Option<(u64, i64)> = None;
        let mut close = |still: &mut Option<(u64, BandKind, &str)>, to_ns: u64| {
            if let Some((from_ns, kind, word)) = still.take().filter(|(from, ..)| *from < to_ns) {
                let text = format!("{word} {}", Seconds::rounded(to_ns - from_ns));
                bands.push(Band {
                    lane,
                    kind,
                    from_ns,
                    to_ns,
                    text,
                });
            }
        };
        let mut rates = Vec::new();
        for event in of_machine {
            let t_ns = event.t_ns;
            match &event.kind {
                Kind::Process { state } => {
                    close(&mut still, t_ns.min(material.end_ns));
                    still = match state.as_str() {
                        "paused" => Some((t_ns, BandKind::Still, "paused")),
                        "suspended" => Some((t_ns, BandKind::Still, "asleep")),
                        "vm_paused" => Some((t_ns, BandKind::Still, "VM paused")),
                        "crashed" => Some((t_ns, BandKind::Down, "down")),
                        _ => None,
                    };
                }
                Kind::Clock { rate_ppb } => {
                    if let Some((from_ns, rate)) = clock.take() {
                        rates.push((from_ns, t_ns, rate));
                    }
                    clock = (*rate_ppb != 0).then_some((t_ns, *rate_ppb));
                }
                _ => {}
            }
        }
        close(&mut still, material.end_ns);
        if let Some((from_ns, rate)) = clock {
            rates.push((from_ns, material.end_ns, rate));
        }
        bands.extend(rates.into_iter().filter(|(from, to, _)| from < to).map(
            |(from_ns, to_ns, rate)| Band {
                lane,
                kind: BandKind::Clock,
                from_ns,
                to_ns,
                text: match rate {
                    ..=-1_000_000_000 => "its clock stands still".to_owned(),
                    rate => format!("its clock runs {:+} ppm", rate / 1000),
                },
            },
        ));
    }
    bands
}

pub(super) fn overlaps(material: &Material<'_>, events: &[Event]) -> Vec<Overlap> {
    let mut all = intervals(material.header, events);
    all.retain(|one| one.kind == IntervalKind::Believed);
    all.sort_by_key(|one| one.from_ns);
    let mut overlaps = Vec::new();
    for (index, first) in all.iter().enumerate() {
        let at_once = all[index + 1..].iter();
        for second in at_once.take_while(|second| second.from_ns < first.to_ns) {
            let to_ns = first.to_ns.min(second.to_ns).min(material.end_ns);
            let from_ns = second.from_ns;
            let lanes = material.lane(&first.node).zip(material.lane(&second.node));
            let Some(lanes) = lanes.filter(|_| {
                first.name == second.name && first.node != second.node && from_ns < to_ns
            }) else {
                continue;
            };
            overlaps.push(Overlap {
                lanes,
                from_ns,
                to_ns,
                text: format!("two holders: {}", Seconds::rounded(to_ns - from_ns)),
            });
        }
    }
    overlaps
}
