//! What a trace tells, before it is drawn: who is there, who believed what, what was said and done, in true time.
//!
//! Pure: the same trace gives the same story. Pictures, text and captions are all made of it.

mod arrows;
mod bars;
mod exchanges;
mod faults;
mod moments;
mod sentence;
mod states;

pub(crate) use arrows::{Arrow, ArrowKind, Fate};
pub(crate) use bars::{Band, BandKind, Bar, BarKind, Overlap};
pub(crate) use faults::FaultBar;
pub(crate) use moments::{Moment, Tone};

use std::collections::{BTreeMap, BTreeSet};

use crate::checker::Report;
use crate::trace::{Event, Header, Kind, Role, StorageAccess};
use crate::words::Tokens;

/// What is drawn of a run.
pub(crate) struct Story {
    /// Servers first, then clients, then the storage: messages cross as few lanes as they can.
    pub lanes: Vec<Lane>,
    pub bars: Vec<Bar>,
    pub bands: Vec<Band>,
    pub overlaps: Vec<Overlap>,
    pub arrows: Vec<Arrow>,
    pub accesses: Vec<Access>,
    /// What a server says of itself: that it was promoted.
    pub remarks: Vec<Remark>,
    pub faults: Vec<FaultBar>,
    /// What one can go through, by time.
    pub moments: Vec<Moment>,
    /// How many moments were left out, because nobody can look at so many.
    pub left_out: usize,
    /// How many messages are not drawn, for the same reason.
    pub arrows_left_out: usize,
    /// Where the picture ends.
    pub end_ns: u64,
    pub tokens: Tokens,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lane {
    pub node: String,
    pub role: Role,
    /// As it is called in the picture.
    pub title: String,
    /// Clients are told apart by it: from 0.
    pub colour: usize,
}

/// An access to the protected resource.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub t_ns: u64,
    pub seq: u64,
    pub by: String,
    pub colour: usize,
    pub access: StorageAccess,
    pub accepted: bool,
    /// A property says that it should not have been accepted.
    pub stale: bool,
    /// The store had ended the lease on which it was done.
    pub late: bool,
    pub token: Option<u64>,
    pub newest: Option<u64>,
}

/// What a server says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Remark {
    pub lane: usize,
    pub t_ns: u64,
    pub text: String,
}

/// What all parts of a story are made of.
struct Material<'a> {
    header: &'a Header,
    /// By true time, then by `seq`.
    events: Vec<&'a Event>,
    report: &'a Report,
    lanes: Vec<Lane>,
    tokens: Tokens,
    /// Which client an attempt is of.
    owners: BTreeMap<&'a str, &'a str>,
    /// There is more than one lock.
    several: bool,
    end_ns: u64,
}

impl Story {
    /// The story of this trace, of which the checker says that.
    pub fn of(header: &Header, events: &[Event], report: &Report) -> Self {
        let material = Material::new(header, events, report);
        let (moments, left_out) = moments::moments(&material);
        let (arrows, arrows_left_out) = arrows::arrows(&material);
        Self {
            bars: bars::bars(&material, events),
            bands: bars::bands(&material),
            overlaps: bars::overlaps(&material, events),
            arrows,
            arrows_left_out,
            accesses: material.accesses(),
            remarks: material.remarks(),
            faults: faults::faults(&material),
            moments,
            left_out,
            end_ns: material.end_ns,
            tokens: material.tokens.clone(),
            lanes: material.lanes,
        }
    }
}

/// More accesses than these are thinned out, but for those that matter.
const MOST_ACCESSES: usize = 300;

/// How long after the last thing of interest the picture goes on.
const TAIL_NS: u64 = 300_000_000;

impl<'a> Material<'a> {
    fn new(header: &'a Header, events: &'a [Event], report: &'a Report) -> Self {
        let mut events: Vec<&Event> = events.iter().collect();
        events.sort_by_key(|event| (event.t_ns, event.seq));
        let of_attempt = |event: &&'a Event| match &event.kind {
            Kind::Granted { attempt, .. }
            | Kind::Call {
                attempt: Some(attempt),
                ..
            } => Some((attempt.as_str(), event.node.as_str())),
            _ => None,
        };
        let asked_for = |event: &&'a Event| match &event.kind {
            Kind::Acquire { name, .. } => Some(name.as_str()),
            _ => None,
        };
        let interesting = |event: &&&Event| {
            !matches!(
                event.kind,
                Kind::End
                    | Kind::Healed { .. }
                    | Kind::Send { .. }
                    | Kind::Recv { .. }
                    | Kind::FaultEnds { .. }
                    | Kind::Server { .. }
                    | Kind::Process { .. }
                    | Kind::Clock { .. }
            )
        };
        let last = events
            .iter()
            .filter(interesting)
            .map(|event| event.t_ns)
            .max();
        let end = events.last().map_or(0, |event| event.t_ns);
        Self {
            header,
            report,
            lanes: lanes(header),
            tokens: Tokens::of(events.iter().copied()),
            owners: events.iter().filter_map(of_attempt).collect(),
            several: {
                let names: BTreeSet<&str> = events.iter().filter_map(asked_for).collect();
                names.len() > 1
            },
            end_ns: end.min(last.unwrap_or(0).saturating_add(TAIL_NS)),
            events,
        }
    }

    fn lane(&self, node: &str) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.node == node)
    }

    /// The lock, by name where there are several.
    fn lock(&self, name: &str) -> String {
        match self.several {
            true => format!("`{name}`"),
            false => "the lock".to_owned(),
        }
    }

    fn owner(&self, attempt: Option<&str>) -> Option<&'a str> {
        self.owners.get(attempt?).copied()
    }

    fn colour(&self, node: &str) -> usize {
        self.lane(node).map_or(0, |lane| self.lanes[lane].colour)
    }

    fn accesses(&self) -> Vec<Access> {
        let stale: BTreeSet<u64> = self
            .report
            .violations()
            .iter()
            .filter(|violation| violation.property == crate::checker::Property::S3)
            .map(|violation| violation.at)
            .collect();
        let gone = self.gone();
        let access = |event: &&Event| match &event.kind {
            Kind::Storage {
                access,
                by,
                attempt,
                token,
                accepted,
                newest,
                ..
            } => Some(Access {
                t_ns: event.t_ns,
                seq: event.seq,
                by: by.clone(),
                colour: self.colour(by),
                access: *access,
                accepted: *accepted,
                stale: stale.contains(&event.seq),
                late: attempt.as_deref().is_some_and(|attempt| {
                    gone.get(attempt).is_some_and(|spans| {
                        spans
                            .iter()
                            .any(|(from, to)| *from < event.t_ns && event.t_ns < *to)
                    })
                }),
                token: *token,
                newest: *newest,
            }),
            _ => None,
        };
        let all: Vec<Access> = self.events.iter().filter_map(access).collect();
        let every = all.len().div_ceil(MOST_ACCESSES).max(1);
        let shown = |(index, access): &(usize, Access)| {
            index % every == 0 || access.stale || !access.accepted
        };
        let shown = all.into_iter().enumerate().filter(shown);
        shown.map(|(_, access)| access).collect()
    }

    /// Of each attempt, from when to when no server said that it holds the lock, after one had.
    fn gone(&self) -> BTreeMap<&'a str, Vec<(u64, u64)>> {
        let mut gone: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
        for event in &self.events {
            match &event.kind {
                Kind::AuthorityEnds {
                    attempt: Some(attempt),
                    ..
                } => gone
                    .entry(attempt)
                    .or_default()
                    .push((event.t_ns, u64::MAX)),
                Kind::AuthorityBegins {
                    attempt: Some(attempt),
                    ..
                } => {
                    let open = gone
                        .get_mut(attempt.as_str())
                        .and_then(|spans| spans.last_mut());
                    if let Some((_, to)) = open {
                        *to = (*to).min(event.t_ns);
                    }
                }
                _ => {}
            }
        }
        gone
    }

    fn remarks(&self) -> Vec<Remark> {
        let remark = |event: &&Event| match &event.kind {
            Kind::Server { what, peer: None } => Some(Remark {
                lane: self.lane(&event.node)?,
                t_ns: event.t_ns,
                text: what.clone(),
            }),
            _ => None,
        };
        self.events.iter().filter_map(remark).collect()
    }
}

fn lanes(header: &Header) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for role in [Role::Server, Role::Client, Role::Storage] {
        let of_role = header.nodes.iter().filter(|node| node.role == role);
        for (colour, node) in of_role.enumerate() {
            lanes.push(Lane {
                node: node.name.clone(),
                role,
                title: match role {
                    Role::Client => node.name.to_uppercase(),
                    _ => node.name.clone(),
                },
                colour,
            });
        }
    }
    lanes
}
