use std::collections::BTreeMap;

use super::{Belief, History, Span, Timeline};
use crate::trace::{CallKind, Outcome};

/// An attempt that surely stood in the store's queue: its first `attempt` was answered `busy`.
#[derive(Clone, Copy, Debug)]
pub(in crate::checker) struct Waiter<'a> {
    pub(in crate::checker) node: &'a str,
    pub(in crate::checker) name: &'a str,
    pub(in crate::checker) attempt: &'a str,
    /// When it was told to wait.
    pub(in crate::checker) queued_ns: u64,
    pub(in crate::checker) seq: u64,
    /// Up to here it surely waited: then it made the call that was granted, gave up, was answered with anything but
    /// `busy`, or its process stopped.
    pub(in crate::checker) until_ns: u64,
}

/// When somebody tried, on each machine and for each lock.
type Trying<'a> = BTreeMap<(&'a str, &'a str), Timeline>;

impl<'a> History<'a> {
    /// All of them, by the time at which they were told to wait.
    pub(in crate::checker) fn waiters(&self) -> Vec<Waiter<'a>> {
        let mut trying: BTreeMap<(&str, &str), Vec<Span>> = BTreeMap::new();
        for acquire in self.operations.acquires.iter().filter(|one| one.trying) {
            let Span { from, to } = acquire.span();
            // Closed: the call may begin and end at the same moment.
            let to = to.saturating_add(1);
            let tries = trying.entry((acquire.node, acquire.name)).or_default();
            tries.push(Span { from, to });
        }
        let trying = trying.into_iter();
        let trying: Trying = trying
            .map(|(place, tries)| (place, Timeline::new(tries.into_iter())))
            .collect();
        let attempts = self.operations.attempts();
        let waiters = attempts.filter_map(|(name, attempt)| self.waiter(&trying, name, attempt));
        let mut waiters: Vec<Waiter> = waiters.collect();
        waiters.sort_by_key(|waiter| (waiter.queued_ns, waiter.seq));
        waiters
    }

    fn waiter(&self, trying: &Trying<'_>, name: &'a str, attempt: &'a str) -> Option<Waiter<'a>> {
        let mut calls = self.operations.of_attempt(name, attempt);
        let first = calls.next().filter(|call| call.kind == CallKind::Attempt)?;
        let told = first
            .answer
            .filter(|answer| answer.outcome == Outcome::Busy)?;
        let node = first.node;
        // Whoever only tries leaves nothing in the queue.
        let (from, to) = (first.t_ns, first.t_ns);
        let tries = trying.get(&(node, name));
        if tries.is_some_and(|tries| tries.touching(Span { from, to }).next().is_some()) {
            return None;
        }
        // An answer that is still to come may be any.
        let waits_on = |answer: Option<Outcome>| answer == Some(Outcome::Busy);
        let other = calls.find(|call| {
            let answer = call.answer.map(|answer| answer.outcome);
            call.kind != CallKind::Attempt || !waits_on(answer)
        });
        let granted = self.beliefs_of(name, attempt, None);
        let granted = granted.first().map(|belief| belief.span.from);
        let stopped = self.machines.stops_after(node, told.t_ns);
        let ends = [other.map(|call| call.t_ns), granted, stopped];
        Some(Waiter {
            node,
            name,
            attempt,
            queued_ns: told.t_ns,
            seq: told.seq,
            until_ns: ends.into_iter().flatten().min().unwrap_or(self.end_ns),
        })
    }

    /// When user code asked for what this belief is in; without an `acquire` nothing is known.
    pub(in crate::checker) fn asked(&self, belief: &Belief<'_>) -> Option<(u64, u64)> {
        let acquire = self.operations.acquire(belief.op)?;
        (acquire.name == belief.name).then_some((acquire.t_ns, acquire.seq))
    }
}
