//! L4: waiters are granted in the order that the store declares (R11).
//!
//! Counted once the faults are over (from the beginning in a trace without any), among lockers' attempts, and only
//! where the order is sure. *Queued* is an attempt whose first call was answered `busy`, from that answer on; it *waits*
//! until it makes the call that is granted, gives up, is answered with anything but `busy`, or its process stops. One
//! on a machine that faults concerned counts if it was queued [`Tolerance::reconnect_ns`] after the last of them: who is
//! woken over a connection that has died misses its turn.
//!
//! `by_attempt`: nobody is granted a lock while an attempt waits that was queued before the other's acquisition began.
//!
//! `by_participant`, where a participant is a machine:
//! - between two grants of one participant, every other participant of which an attempt was queued before the call
//!   that got the first grant, and still waits at the second, gets a grant;
//! - a participant that never asked for the lock before is not granted it while an attempt of another one waits that
//!   was queued before it asked, unless that one got a grant in between;
//! - within a participant as `by_attempt`.
//!
//! Put to the test by every grant that came while, or after, such an attempt waited beside it.

use std::collections::BTreeMap;

use super::finding::{At, Finding};
use super::history::{Belief, Healed, History, Waiter};
use super::l1_granted_or_told::NOT_HEALED;
use super::{Property, PropertyResult, Tolerance};
use crate::trace::{CallKind, Outcome};
use crate::words::Seconds;

pub(super) fn check(history: &History<'_>, tolerance: &Tolerance) -> PropertyResult {
    let by_participant = match &history.header.fairness[..] {
        "by_attempt" => false,
        "by_participant" => true,
        _ => return Finding::unknown(Property::L4, "the store declares no order"),
    };
    let Some(healed) = history.machines.healed() else {
        return Finding::unknown(Property::L4, NOT_HEALED);
    };
    let mut finding = Finding::new(Property::L4);
    let mut waiters: BTreeMap<&str, Vec<Waiter>> = BTreeMap::new();
    for waiter in history.waiters() {
        let settled = history
            .machines
            .settled(&healed, waiter.node, tolerance.reconnect_ns);
        if waiter.queued_ns >= settled && healed.concerns(waiter.node) {
            waiters.entry(waiter.name).or_default().push(waiter);
        }
    }
    for (name, beliefs) in history.beliefs_by_name() {
        let grants = grants(history, &healed, &beliefs);
        let queue = Queue::new(waiters.get(name).map_or(&[][..], Vec::as_slice));
        let check = Check {
            history,
            grants: &grants,
            queue,
            by_participant,
        };
        for grant in &grants {
            check.in_order(&mut finding, grant);
        }
        if by_participant {
            check.in_turn(&mut finding);
        }
    }
    finding.finish(
        "nobody was granted a lock for which somebody else had waited longer, or not as long",
    )
}

/// A grant to user code.
struct Grant<'a, 'h> {
    belief: &'h Belief<'a>,
    /// When user code asked, if that is in the trace.
    asked: Option<(u64, u64)>,
    /// When the call began that was granted.
    called_ns: Option<u64>,
}

/// Of one lock, once the faults are over, by their time.
fn grants<'a, 'h>(
    history: &'h History<'a>,
    healed: &Healed<'_>,
    beliefs: &[&'h Belief<'a>],
) -> Vec<Grant<'a, 'h>> {
    let grants = beliefs.iter().map(|belief| {
        let mut calls = history.operations.of_attempt(belief.name, belief.attempt);
        let granted = |outcome| outcome == Outcome::Granted;
        let call = calls.find(|call| {
            let answered = call.answer.is_some_and(|answer| granted(answer.outcome));
            call.kind == CallKind::Attempt && answered
        });
        Grant {
            belief,
            asked: history.asked(belief),
            called_ns: call.map(|call| call.t_ns),
        }
    });
    let counts = |grant: &Grant| !grant.belief.again && grant.belief.span.from >= healed.at_ns;
    grants.filter(counts).collect()
}

/// The waiters of one lock, by the time at which they were queued.
struct Queue<'a, 'h> {
    waiters: &'h [Waiter<'a>],
    /// The latest end of a waiter and all before it.
    latest: Vec<u64>,
}

impl<'a, 'h> Queue<'a, 'h> {
    fn new(waiters: &'h [Waiter<'a>]) -> Self {
        let latest = waiters.iter().scan(0, |latest, waiter| {
            *latest = waiter.until_ns.max(*latest);
            Some(*latest)
        });
        Self {
            latest: latest.collect(),
            waiters,
        }
    }

    /// Those who were queued before this time and still wait at that one.
    fn waiting(&self, queued_before: u64, at_ns: u64) -> impl Iterator<Item = &'h Waiter<'a>> {
        let begun = self
            .waiters
            .partition_point(|waiter| waiter.queued_ns < queued_before);
        let latest = &self.latest;
        let candidates = (0..begun)
            .rev()
            .take_while(move |index| latest[*index] > at_ns);
        let waiters = self.waiters;
        candidates
            .map(move |index| &waiters[index])
            .filter(move |waiter| waiter.until_ns > at_ns)
    }
}

struct Check<'a, 'h> {
    history: &'h History<'a>,
    grants: &'h [Grant<'a, 'h>],
    queue: Queue<'a, 'h>,
    by_participant: bool,
}

impl Check<'_, '_> {
    /// Nobody who was queued before this one asked is passed over.
    fn in_order(&self, finding: &mut Finding, grant: &Grant<'_, '_>) {
        let belief = grant.belief;
        let Some((asked_ns, asked)) = grant.asked else {
            return;
        };
        let comparable = |waiter: &&Waiter| {
            let other = waiter.attempt != belief.attempt;
            let beside = waiter.node == belief.node;
            let had_its_turn = || self.granted(waiter.node, asked_ns, belief.span.from);
            other && (!self.by_participant || beside || (self.is_new(grant) && !had_its_turn()))
        };
        if self
            .queue
            .waiting(asked_ns, asked_ns)
            .any(|waiter| comparable(&waiter))
        {
            finding.exercise();
        }
        let passed_over = self
            .queue
            .waiting(asked_ns, belief.span.from)
            .filter(comparable);
        let Some(first) = passed_over.min_by_key(|waiter| (waiter.queued_ns, waiter.seq)) else {
            return;
        };
        let message = format!(
            "{} asked for {} at {} and was granted it at {} (token {}), while an attempt of {} had waited for it since {}",
            belief.node,
            belief.name,
            Seconds(asked_ns),
            Seconds(belief.span.from),
            belief.token,
            first.node,
            Seconds(first.queued_ns),
        );
        let at = At {
            seq: belief.seq,
            t_ns: belief.span.from,
            with: &[first.seq, asked],
            name: Some(belief.name),
            nodes: &[belief.node, first.node],
        };
        finding.violate(at, message);
    }

    /// Whether a participant was granted the lock in this time.
    fn granted(&self, node: &str, from: u64, to: u64) -> bool {
        let granted = |other: &&Grant| (from..=to).contains(&other.belief.span.from);
        let mut grants = self.grants.iter().filter(granted);
        grants.any(|other| other.belief.node == node)
    }

    /// Whether this machine never asked for this lock before.
    fn is_new(&self, grant: &Grant<'_, '_>) -> bool {
        let belief = grant.belief;
        let mut acquires = self
            .history
            .operations
            .acquires_of(belief.node, belief.name);
        acquires.next().is_some_and(|first| first.op == belief.op)
    }

    /// Between two grants of one participant every waiting one gets its turn.
    fn in_turn(&self, finding: &mut Finding) {
        let grants = self.grants;
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, grant) in grants.iter().enumerate() {
            let belief = grant.belief;
            let Some(before) = last.insert(belief.node, index) else {
                continue;
            };
            let Some(called_ns) = grants[before].called_ns else {
                continue;
            };
            let others = |waiter: &&Waiter| waiter.node != belief.node;
            let first = grants[before].belief.span.from;
            if self
                .queue
                .waiting(called_ns, first)
                .any(|waiter| others(&waiter))
            {
                finding.exercise();
            }
            let waiting = self.queue.waiting(called_ns, belief.span.from);
            for waiter in waiting.filter(others) {
                let between = &grants[before + 1..index];
                if between.iter().any(|other| other.belief.node == waiter.node) {
                    continue;
                }
                let message = format!(
                    "{} was granted {} at {} and again at {}, and {}, which had waited for it since {}, not once in between",
                    belief.node,
                    belief.name,
                    Seconds(grants[before].belief.span.from),
                    Seconds(belief.span.from),
                    waiter.node,
                    Seconds(waiter.queued_ns),
                );
                let at = At {
                    seq: belief.seq,
                    t_ns: belief.span.from,
                    with: &[grants[before].belief.seq, waiter.seq],
                    name: Some(belief.name),
                    nodes: &[belief.node, waiter.node],
                };
                finding.violate(at, message);
                break;
            }
        }
    }
}
