use serde::{Deserialize, Serialize};

use super::history::History;
use crate::trace::{Event, Header};

/// A bar of a picture: who owned a lock from when to when, and in whose eyes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// In whose eyes.
    pub kind: IntervalKind,
    /// The client, or the server that says so.
    pub node: String,
    /// The lock.
    pub name: String,
    /// The attempt; none for a foreign holder.
    pub attempt: Option<String>,
    /// The token.
    pub token: Option<u64>,
    /// From this true time on.
    pub from_ns: u64,
    /// Until before this one.
    pub to_ns: u64,
}

/// In whose eyes somebody owned a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalKind {
    /// The client's: until it knows, or its clock reaches the deadline.
    Believed,
    /// The client's last effect, believed or not.
    Acting,
    /// A server's.
    Authority,
}

/// All intervals of a trace: believed and acting ones first, then the servers', each by their beginning.
pub fn intervals(header: &Header, events: &[Event]) -> Vec<Interval> {
    let history = History::new(header, events);
    let mut all = Vec::new();
    for belief in &history.beliefs {
        let ends = [
            (IntervalKind::Believed, belief.span.to),
            (IntervalKind::Acting, belief.acting_until_ns),
        ];
        all.extend(ends.map(|(kind, to_ns)| Interval {
            kind,
            node: belief.node.to_owned(),
            name: belief.name.to_owned(),
            attempt: Some(belief.attempt.to_owned()),
            token: Some(belief.token),
            from_ns: belief.span.from,
            to_ns,
        }));
    }
    all.extend(history.authorities.iter().map(|authority| Interval {
        kind: IntervalKind::Authority,
        node: authority.server.to_owned(),
        name: authority.name.to_owned(),
        attempt: authority.attempt.map(str::to_owned),
        token: authority.token,
        from_ns: authority.span.from,
        to_ns: authority.span.to,
    }));
    all
}
