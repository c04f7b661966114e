use std::collections::BTreeMap;

use super::Span;
use super::clocks::LocalClocks;
use crate::trace::{Event, Kind};

/// A believed interval: from handing the guard to user code until the client knows, its own clock reaches the
/// deadline (observed or not), or its process dies.
#[derive(Clone, Debug)]
pub(in crate::checker) struct Belief<'a> {
    pub(in crate::checker) op: u64,
    pub(in crate::checker) node: &'a str,
    pub(in crate::checker) name: &'a str,
    pub(in crate::checker) attempt: &'a str,
    pub(in crate::checker) token: u64,
    pub(in crate::checker) ttl_ns: u64,
    pub(in crate::checker) span: Span,
    /// The `granted`, or the `deadline_moved` that brought a belief back after its deadline.
    pub(in crate::checker) seq: u64,
    /// It came back after its deadline: no new grant.
    pub(in crate::checker) again: bool,
    pub(in crate::checker) end: BeliefEnd,
    /// The end of the acting interval: the last access to storage, if that is later.
    pub(in crate::checker) acting_until_ns: u64,
}

/// How a believed interval ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checker) enum BeliefEnd {
    /// The client knew: the `seq` of `belief_ends`.
    Told(u64),
    /// Its clock reached the deadline.
    Deadline,
    /// Its process died.
    Crashed,
    /// It had not ended when the trace did.
    Open,
}

/// Lock, attempt and token.
type Key<'a> = (&'a str, &'a str, u64);

struct Open<'a> {
    belief: Belief<'a>,
    /// The true time at which the node's clock reaches the deadline in force.
    deadline_ns: Option<u64>,
}

impl<'a> Open<'a> {
    /// Over at this time, or at the deadline if that was earlier.
    fn over(mut self, t_ns: u64, end: BeliefEnd) -> Belief<'a> {
        let deadline = self.deadline_ns.filter(|deadline| *deadline <= t_ns);
        self.belief.span.to = deadline.unwrap_or(t_ns).max(self.belief.span.from);
        self.belief.end = deadline.map_or(end, |_| BeliefEnd::Deadline);
        self.belief.acting_until_ns = self.belief.span.to;
        self.belief
    }
}

/// All believed intervals, by their beginning. `events` are in order.
pub(super) fn beliefs<'a>(
    events: &[&'a Event],
    clocks: &LocalClocks<'a>,
    end_ns: u64,
) -> Vec<Belief<'a>> {
    let mut open: BTreeMap<Key, Open> = BTreeMap::new();
    let mut over: Vec<Belief> = Vec::new();
    let mut acted: BTreeMap<(&str, u64), u64> = BTreeMap::new();
    for event in events {
        let t_ns = event.t_ns;
        match &event.kind {
            Kind::Granted {
                op,
                name,
                attempt,
                token,
                ttl_ns,
                deadline_local_ns,
            } => {
                let belief = Belief {
                    op: *op,
                    node: &event.node,
                    name,
                    attempt,
                    token: *token,
                    ttl_ns: *ttl_ns,
                    span: Span {
                        from: t_ns,
                        to: t_ns,
                    },
                    seq: event.seq,
                    again: false,
                    end: BeliefEnd::Open,
                    acting_until_ns: t_ns,
                };
                let deadline_ns = clocks.reaches(belief.node, *deadline_local_ns, t_ns);
                let new = Open {
                    belief,
                    deadline_ns,
                };
                let key = (&name[..], &attempt[..], *token);
                // The same grant handed out again: two guards, two intervals.
                over.extend(
                    open.insert(key, new)
                        .map(|old| old.over(end_ns, BeliefEnd::Open)),
                );
            }
            Kind::DeadlineMoved {
                name,
                attempt,
                token,
                deadline_local_ns,
            } => {
                let key = (&name[..], &attempt[..], *token);
                let Some(believed) = open.get_mut(&key) else {
                    continue;
                };
                let moved = clocks.reaches(believed.belief.node, *deadline_local_ns, t_ns);
                if believed
                    .deadline_ns
                    .is_some_and(|deadline| deadline <= t_ns)
                {
                    // Its deadline was past: a client that believes again.
                    let mut again = believed.belief.clone();
                    again.span.from = t_ns;
                    again.seq = event.seq;
                    again.again = true;
                    let again = Open {
                        belief: again,
                        deadline_ns: moved,
                    };
                    let old = open.insert(key, again);
                    over.extend(old.map(|old| old.over(t_ns, BeliefEnd::Deadline)));
                } else {
                    believed.deadline_ns = moved;
                }
            }
            Kind::BeliefEnds {
                name,
                attempt,
                token,
                ..
            } => {
                let old = open.remove(&(&name[..], &attempt[..], *token));
                over.extend(old.map(|old| old.over(t_ns, BeliefEnd::Told(event.seq))));
            }
            Kind::Process { state } if state == "crashed" => {
                let died = take_all_of(&mut open, &event.node);
                over.extend(
                    died.into_iter()
                        .map(|old| old.over(t_ns, BeliefEnd::Crashed)),
                );
            }
            Kind::Storage {
                attempt: Some(attempt),
                token: Some(token),
                ..
            } => {
                acted.insert((attempt, *token), t_ns);
            }
            _ => {}
        }
    }
    over.extend(
        open.into_values()
            .map(|open| open.over(end_ns, BeliefEnd::Open)),
    );
    for belief in &mut over {
        if let Some(last) = acted.get(&(belief.attempt, belief.token)) {
            belief.acting_until_ns = belief.acting_until_ns.max(*last);
        }
    }
    over.sort_by_key(|belief| (belief.span.from, belief.seq));
    over
}

fn take_all_of<'a>(open: &mut BTreeMap<Key<'a>, Open<'a>>, node: &str) -> Vec<Open<'a>> {
    let (gone, stay): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(open)
        .into_iter()
        .partition(|(_, open)| open.belief.node == node);
    *open = stay;
    gone.into_values().collect()
}
