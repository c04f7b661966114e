//! What a trace says, put in order: the shared view on which every property is built.

mod authority;
mod believed;
mod clocks;
mod machines;
mod operations;
mod timeline;
mod waiters;

use std::collections::BTreeMap;

pub(super) use authority::Authority;
pub(super) use believed::Belief;
use clocks::LocalClocks;
pub(super) use machines::Healed;
use machines::Machines;
pub(super) use operations::{Acquire, Call, How, Operations};
pub(super) use timeline::Timeline;
pub(super) use waiters::Waiter;

use crate::trace::{Event, Header};

/// A half-open span of true time, in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Span {
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.from.max(other.from) < self.to.min(other.to)
    }

    pub(super) fn is_empty(self) -> bool {
        self.from >= self.to
    }
}

/// What is left of a span without others, which are ordered by their beginning.
pub(super) fn without(span: Span, others: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut parts = Vec::new();
    let mut from = span.from;
    for other in others {
        let to = other.from.min(span.to);
        parts.push(Span { from, to });
        from = from.max(other.to);
    }
    parts.push(Span { from, to: span.to });
    parts.retain(|part| !part.is_empty());
    parts
}

/// A grant as everything here names it: the attempt and the token. A foreign holder has neither.
pub(super) type GrantKey<'a> = (Option<&'a str>, Option<u64>);

pub(super) struct History<'a> {
    pub(super) header: &'a Header,
    /// By true time, then by `seq`.
    pub(super) events: Vec<&'a Event>,
    /// The true time of the last event.
    pub(super) end_ns: u64,
    pub(super) machines: Machines<'a>,
    pub(super) operations: Operations<'a>,
    /// Believed intervals, by their beginning.
    pub(super) beliefs: Vec<Belief<'a>>,
    /// Authority intervals, by their beginning.
    pub(super) authorities: Vec<Authority<'a>>,
    /// Indexes into `beliefs`, by lock and attempt.
    by_attempt: BTreeMap<(&'a str, &'a str), Vec<usize>>,
}

impl<'a> History<'a> {
    pub(super) fn new(header: &'a Header, events: &'a [Event]) -> Self {
        let mut events: Vec<&Event> = events.iter().collect();
        events.sort_by_key(|event| (event.t_ns, event.seq));
        let end_ns = events.last().map_or(0, |event| event.t_ns);
        let clocks = LocalClocks::new(&events);
        let operations = Operations::new(&events);
        let beliefs = believed::beliefs(&events, &clocks, end_ns);
        let mut by_attempt: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, belief) in beliefs.iter().enumerate() {
            by_attempt
                .entry((belief.name, belief.attempt))
                .or_default()
                .push(index);
        }
        Self {
            header,
            end_ns,
            machines: Machines::new(header, &events),
            beliefs,
            by_attempt,
            authorities: authority::authorities(&events, end_ns),
            operations,
            events,
        }
    }

    /// The believed intervals of each lock.
    pub(super) fn beliefs_by_name(&self) -> BTreeMap<&'a str, Vec<&Belief<'a>>> {
        let mut names: BTreeMap<&str, Vec<&Belief>> = BTreeMap::new();
        for belief in &self.beliefs {
            names.entry(belief.name).or_default().push(belief);
        }
        names
    }

    /// The authority intervals of each lock, of all servers.
    pub(super) fn authorities_by_name(&self) -> BTreeMap<&'a str, Vec<&Authority<'a>>> {
        let mut names: BTreeMap<&str, Vec<&Authority>> = BTreeMap::new();
        for authority in &self.authorities {
            names.entry(authority.name).or_default().push(authority);
        }
        names
    }

    /// The authority intervals of each grant, of all servers.
    pub(super) fn authorities_by_grant(
        &self,
    ) -> BTreeMap<(&'a str, GrantKey<'a>), Vec<&Authority<'a>>> {
        let mut grants: BTreeMap<_, Vec<&Authority>> = BTreeMap::new();
        for authority in &self.authorities {
            let key = (authority.name, authority.grant());
            grants.entry(key).or_default().push(authority);
        }
        grants
    }

    /// The believed intervals of a grant, by their beginning.
    pub(super) fn beliefs_of(
        &self,
        name: &str,
        attempt: &str,
        token: Option<u64>,
    ) -> Vec<&Belief<'a>> {
        let of_attempt = self.by_attempt.get(&(name, attempt)).into_iter().flatten();
        let beliefs = of_attempt.map(|index| &self.beliefs[*index]);
        beliefs
            .filter(|belief| token.is_none_or(|token| belief.token == token))
            .collect()
    }

    /// Whether user code on this machine was waiting for this attempt then.
    pub(super) fn waits(&self, node: &str, name: &str, attempt: &str, t_ns: u64) -> bool {
        let mut calls = self.operations.of_attempt(name, attempt);
        let first_call = calls.next().map(|call| call.t_ns);
        let acquires = self.operations.acquires_of(node, name);
        acquires.into_iter().any(|acquire| {
            let span = acquire.span();
            let within = |t_ns: u64| span.from <= t_ns && t_ns <= span.to;
            within(t_ns) && first_call.is_some_and(within)
        })
    }

    /// Whose lock this is, in words: `C1 (token 33)`, `a foreign holder`.
    pub(super) fn holder(&self, authority: &Authority<'_>) -> String {
        let (attempt, token) = authority.grant();
        match (self.owner(authority), attempt, token) {
            (_, None, _) => "a foreign holder".to_owned(),
            (Some(node), _, Some(token)) => format!("{node} (token {token})"),
            (Some(node), _, None) => node.to_owned(),
            (None, Some(attempt), _) => format!("attempt {}", short(attempt)),
        }
    }

    /// The client on whose behalf the authority is.
    pub(super) fn owner(&self, authority: &Authority<'_>) -> Option<&'a str> {
        let attempt = authority.attempt?;
        self.operations.owner(authority.name, attempt)
    }

    /// Whether any server has said who owns what.
    pub(super) fn has_authority(&self) -> bool {
        !self.authorities.is_empty()
    }
}

/// Enough of an attempt to find it again.
pub(super) fn short(attempt: &str) -> String {
    attempt.chars().take(8).collect()
}
