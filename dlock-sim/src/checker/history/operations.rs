use std::collections::{BTreeMap, BTreeSet};

use super::Span;
use crate::trace::{CallKind, Event, Kind, Outcome};

/// What user code asked of lockers, and what lockers asked of the store.
pub(in crate::checker) struct Operations<'a> {
    /// By their beginning.
    pub(in crate::checker) acquires: Vec<Acquire<'a>>,
    /// By their beginning.
    pub(in crate::checker) calls: Vec<Call<'a>>,
    /// Indexes into `calls`, by lock and attempt.
    by_attempt: BTreeMap<(&'a str, &'a str), Vec<usize>>,
    forced: BTreeMap<(&'a str, &'a str), Vec<usize>>,
    owners: BTreeMap<(&'a str, &'a str), &'a str>,
    callers: BTreeSet<&'a str>,
    by_op: BTreeMap<u64, usize>,
    /// Indexes into `acquires`, by machine and lock.
    by_place: BTreeMap<(&'a str, &'a str), Vec<usize>>,
}

/// User code asked for a lock.
#[derive(Debug)]
pub(in crate::checker) struct Acquire<'a> {
    pub(in crate::checker) op: u64,
    pub(in crate::checker) node: &'a str,
    pub(in crate::checker) name: &'a str,
    pub(in crate::checker) trying: bool,
    pub(in crate::checker) t_ns: u64,
    pub(in crate::checker) seq: u64,
    pub(in crate::checker) end: Option<AcquireEnd<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::checker) struct AcquireEnd<'a> {
    pub(in crate::checker) t_ns: u64,
    pub(in crate::checker) seq: u64,
    pub(in crate::checker) how: How<'a>,
}

/// How an acquisition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checker) enum How<'a> {
    /// With this attempt and token.
    Granted(&'a str, u64),
    /// User code was told.
    NotGranted,
    /// User code did not want it any more.
    Abandoned,
    /// Its process died.
    Crashed,
}

/// A locker asked the store.
#[derive(Debug)]
pub(in crate::checker) struct Call<'a> {
    pub(in crate::checker) node: &'a str,
    pub(in crate::checker) kind: CallKind,
    pub(in crate::checker) name: &'a str,
    pub(in crate::checker) attempt: Option<&'a str>,
    pub(in crate::checker) token: Option<u64>,
    pub(in crate::checker) ttl_ns: Option<u64>,
    pub(in crate::checker) t_ns: u64,
    pub(in crate::checker) seq: u64,
    pub(in crate::checker) answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::checker) struct Answer {
    pub(in crate::checker) t_ns: u64,
    pub(in crate::checker) seq: u64,
    pub(in crate::checker) outcome: Outcome,
    pub(in crate::checker) token: Option<u64>,
}

impl Acquire<'_> {
    /// While user code waited; until `u64::MAX` if it still does.
    pub(in crate::checker) fn span(&self) -> Span {
        Span {
            from: self.t_ns,
            to: self.end.map_or(u64::MAX, |end| end.t_ns),
        }
    }
}

impl<'a> Operations<'a> {
    pub(super) fn new(events: &[&'a Event]) -> Self {
        let mut acquires: Vec<Acquire> = Vec::new();
        let mut calls: Vec<Call> = Vec::new();
        let (mut asked, mut called) = (BTreeMap::new(), BTreeMap::new());
        let mut owners = BTreeMap::new();
        for event in events {
            let (node, t_ns, seq) = (&event.node[..], event.t_ns, event.seq);
            let mut end = |op: &u64, how| {
                if let Some(index) = asked.remove(op) {
                    let acquire: &mut Acquire = &mut acquires[index];
                    acquire.end = Some(AcquireEnd { t_ns, seq, how });
                }
            };
            match &event.kind {
                Kind::Granted {
                    op,
                    name,
                    attempt,
                    token,
                    ..
                } => {
                    owners.entry((&name[..], &attempt[..])).or_insert(node);
                    end(op, How::Granted(attempt, *token));
                }
                Kind::NotGranted { op, .. } => end(op, How::NotGranted),
                Kind::Abandoned { op } => end(op, How::Abandoned),
                Kind::Process { state } if state == "crashed" => {
                    asked.retain(|_, index| {
                        let acquire: &mut Acquire = &mut acquires[*index];
                        let dies = acquire.node == node;
                        if dies {
                            let how = How::Crashed;
                            acquire.end = Some(AcquireEnd { t_ns, seq, how });
                        }
                        !dies
                    });
                }
                Kind::Acquire {
                    op, name, trying, ..
                } => {
                    asked.insert(*op, acquires.len());
                    acquires.push(Acquire {
                        op: *op,
                        node,
                        name,
                        trying: *trying,
                        t_ns,
                        seq,
                        end: None,
                    });
                }
                Kind::Call {
                    op,
                    call,
                    name,
                    attempt,
                    token,
                    ttl_ns,
                } => {
                    if let (CallKind::Attempt, Some(attempt)) = (call, attempt) {
                        owners.entry((&name[..], &attempt[..])).or_insert(node);
                    }
                    called.insert(*op, calls.len());
                    calls.push(Call {
                        node,
                        kind: *call,
                        name,
                        attempt: attempt.as_deref(),
                        token: *token,
                        ttl_ns: *ttl_ns,
                        t_ns,
                        seq,
                        answer: None,
                    });
                }
                Kind::Answer { op, outcome, token } => {
                    if let Some(index) = called.remove(op) {
                        let (outcome, token) = (*outcome, *token);
                        calls[index].answer = Some(Answer {
                            t_ns,
                            seq,
                            outcome,
                            token,
                        });
                    }
                }
                _ => {}
            }
        }
        let mut by_attempt: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let mut forced: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, call) in calls.iter().enumerate() {
            if let Some(attempt) = call.attempt {
                by_attempt
                    .entry((call.name, attempt))
                    .or_default()
                    .push(index);
            }
            if call.kind == CallKind::ForceRelease {
                forced
                    .entry((call.name, call.node))
                    .or_default()
                    .push(index);
            }
        }
        let mut by_place: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, acquire) in acquires.iter().enumerate() {
            by_place
                .entry((acquire.node, acquire.name))
                .or_default()
                .push(index);
        }
        Self {
            by_place,
            callers: calls.iter().map(|call| call.node).collect(),
            by_op: acquires
                .iter()
                .enumerate()
                .map(|(i, a)| (a.op, i))
                .collect(),
            acquires,
            calls,
            by_attempt,
            forced,
            owners,
        }
    }

    /// The calls on behalf of an attempt, by their beginning.
    pub(in crate::checker) fn of_attempt<'s>(
        &'s self,
        name: &'s str,
        attempt: &'s str,
    ) -> impl DoubleEndedIterator<Item = &'s Call<'a>> {
        let indexes = self.by_attempt.get(&(name, attempt));
        indexes
            .into_iter()
            .flatten()
            .map(|index| &self.calls[*index])
    }

    /// Every lock and attempt for which there was a call.
    pub(in crate::checker) fn attempts(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.by_attempt.keys().copied()
    }

    /// The `force_release`s of a lock by a machine, by their beginning.
    pub(in crate::checker) fn forced<'s>(
        &'s self,
        name: &'s str,
        node: &'s str,
    ) -> impl Iterator<Item = &'s Call<'a>> {
        let indexes = self.forced.get(&(name, node));
        indexes
            .into_iter()
            .flatten()
            .map(|index| &self.calls[*index])
    }

    /// The machine that asked for this attempt.
    pub(in crate::checker) fn owner(&self, name: &str, attempt: &str) -> Option<&'a str> {
        self.owners.get(&(name, attempt)).copied()
    }

    /// Whether a locker on this machine was recorded.
    pub(in crate::checker) fn has_locker(&self, node: &str) -> bool {
        self.callers.contains(node)
    }

    /// What user code on a machine asked of a lock, by the beginning.
    pub(in crate::checker) fn acquires_of<'s>(
        &'s self,
        node: &'s str,
        name: &'s str,
    ) -> impl Iterator<Item = &'s Acquire<'a>> {
        let indexes = self.by_place.get(&(node, name));
        indexes
            .into_iter()
            .flatten()
            .map(|index| &self.acquires[*index])
    }

    /// The acquisition with this number.
    pub(in crate::checker) fn acquire(&self, op: u64) -> Option<&Acquire<'a>> {
        self.by_op.get(&op).map(|index| &self.acquires[*index])
    }
}
