use std::collections::BTreeMap;

use super::{GrantKey, Span};
use crate::trace::{AuthorityEnd, Event, Kind};

/// An authority interval: while one server says that a grant owns the lock.
#[derive(Clone, Debug)]
pub(in crate::checker) struct Authority<'a> {
    /// The server that says so.
    pub(in crate::checker) server: &'a str,
    pub(in crate::checker) name: &'a str,
    pub(in crate::checker) attempt: Option<&'a str>,
    pub(in crate::checker) token: Option<u64>,
    /// Until its end; if that was not recorded, until it was due or the trace ended.
    pub(in crate::checker) span: Span,
    /// The `authority_begins`.
    pub(in crate::checker) seq: u64,
    /// The client whose request made it so.
    pub(in crate::checker) by: Option<&'a str>,
    /// When it was due to end at first; none: without end.
    pub(in crate::checker) first_until_ns: Option<u64>,
    /// When it was last due to end; none: without end.
    pub(in crate::checker) until_ns: Option<u64>,
    pub(in crate::checker) moves: Vec<Move<'a>>,
    pub(in crate::checker) end: Option<End<'a>>,
}

/// The end moved.
#[derive(Clone, Copy, Debug)]
pub(in crate::checker) struct Move<'a> {
    pub(in crate::checker) t_ns: u64,
    pub(in crate::checker) seq: u64,
    pub(in crate::checker) until_ns: Option<u64>,
    pub(in crate::checker) by: Option<&'a str>,
    /// The token that the event names: another one than the grant's is a bug.
    pub(in crate::checker) token: Option<u64>,
}

/// The server says so no longer.
#[derive(Clone, Copy, Debug)]
pub(in crate::checker) struct End<'a> {
    pub(in crate::checker) t_ns: u64,
    pub(in crate::checker) seq: u64,
    pub(in crate::checker) why: AuthorityEnd,
    pub(in crate::checker) by: Option<&'a str>,
}

impl<'a> Authority<'a> {
    pub(in crate::checker) fn grant(&self) -> GrantKey<'a> {
        (self.attempt, self.token)
    }

    /// The first event that shows its end, or else its beginning.
    pub(in crate::checker) fn last_seq(&self) -> u64 {
        self.end.map_or(self.seq, |end| end.seq)
    }
}

/// All authority intervals, by their beginning. `events` are in order.
pub(super) fn authorities<'a>(events: &[&'a Event], end_ns: u64) -> Vec<Authority<'a>> {
    let mut all: Vec<Authority> = Vec::new();
    // Indexes into `all`: the open ones of a server's lock.
    let mut open: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for event in events {
        let (server, t_ns, seq) = (&event.node[..], event.t_ns, event.seq);
        match &event.kind {
            Kind::AuthorityBegins {
                name,
                attempt,
                token,
                until_ns,
                by,
            } => {
                let here = open.entry((server, name)).or_default();
                let grant = (attempt.as_deref(), *token);
                if let Some(index) = here.iter().find(|index| all[**index].grant() == grant) {
                    // Said again of the same grant.
                    all[*index].until_ns = *until_ns;
                    continue;
                }
                here.push(all.len());
                all.push(Authority {
                    server,
                    name,
                    attempt: attempt.as_deref(),
                    token: *token,
                    span: Span {
                        from: t_ns,
                        to: t_ns,
                    },
                    seq,
                    by: by.as_deref(),
                    first_until_ns: *until_ns,
                    until_ns: *until_ns,
                    moves: Vec::new(),
                    end: None,
                });
            }
            Kind::AuthorityMoved {
                name,
                attempt,
                token,
                until_ns,
                by,
            } => {
                let here = open
                    .get(&(server, &name[..]))
                    .map_or(&[][..], Vec::as_slice);
                let grant = (attempt.as_deref(), *token);
                if let Some(index) = find(&all, here, grant) {
                    let authority = &mut all[index];
                    authority.moves.push(Move {
                        t_ns,
                        seq,
                        until_ns: *until_ns,
                        by: by.as_deref(),
                        token: *token,
                    });
                    authority.until_ns = *until_ns;
                }
            }
            Kind::AuthorityEnds {
                name,
                attempt,
                token,
                why,
                by,
            } => {
                let Some(here) = open.get_mut(&(server, &name[..])) else {
                    continue;
                };
                let grant = (attempt.as_deref(), *token);
                if let Some(index) = find(&all, here, grant) {
                    here.retain(|open| *open != index);
                    let (why, by) = (*why, by.as_deref());
                    all[index].span.to = t_ns;
                    all[index].end = Some(End { t_ns, seq, why, by });
                }
            }
            _ => {}
        }
    }
    for authority in all.iter_mut().filter(|authority| authority.end.is_none()) {
        let due = authority.until_ns.unwrap_or(end_ns).min(end_ns);
        authority.span.to = due.max(authority.span.from);
    }
    all
}

/// The open interval of this grant; else of this attempt.
fn find(all: &[Authority<'_>], open: &[usize], grant: GrantKey<'_>) -> Option<usize> {
    let exact = open.iter().find(|index| all[**index].grant() == grant);
    let attempt = || open.iter().find(|index| all[**index].attempt == grant.0);
    exact.or_else(attempt).copied()
}
