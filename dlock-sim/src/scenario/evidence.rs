use std::collections::{BTreeMap, BTreeSet};

use crate::checker::{Interval, IntervalKind, intervals};
use crate::trace::{AuthorityEnd, CallKind, Event, Header, Kind, Outcome, StorageAccess};
use crate::words::{Seconds, Tokens};

/// What happened in a take, to be asked by the outcome that the scenario asserts. Times are true ones, in ns.
pub(crate) struct Evidence<'a> {
    pub events: &'a [Event],
    intervals: Vec<Interval>,
    tokens: Tokens,
}

/// An access to the protected resource.
#[derive(Clone, Debug)]
pub(crate) struct Accessed<'a> {
    pub t_ns: u64,
    pub seq: u64,
    pub resource: &'a str,
    pub access: StorageAccess,
    pub by: &'a str,
    pub attempt: Option<&'a str>,
    pub token: Option<u64>,
    pub accepted: bool,
    pub newest: Option<u64>,
}

/// A grant in the hands of user code.
#[derive(Clone, Debug)]
pub(crate) struct GrantedTo<'a> {
    pub t_ns: u64,
    pub op: u64,
    pub attempt: &'a str,
    pub token: u64,
}

impl<'a> Evidence<'a> {
    pub fn new(header: &'a Header, events: &'a [Event]) -> Self {
        Self {
            events,
            intervals: intervals(header, events),
            tokens: Tokens::of(events),
        }
    }

    /// The token as people should read it.
    pub fn token(&self, token: Option<u64>) -> String {
        self.tokens.short(token)
    }

    /// The grants that this client was given, by time.
    pub fn grants(&self, node: &str) -> Vec<GrantedTo<'a>> {
        let granted = |event: &'a Event| match &event.kind {
            Kind::Granted {
                op, attempt, token, ..
            } if event.node == node => Some(GrantedTo {
                t_ns: event.t_ns,
                op: *op,
                attempt,
                token: *token,
            }),
            _ => None,
        };
        self.events.iter().filter_map(granted).collect()
    }

    /// When this client asked for a lock, each time.
    pub fn asked(&self, node: &str) -> Vec<u64> {
        let asked =
            |event: &&Event| event.node == node && matches!(event.kind, Kind::Acquire { .. });
        self.events
            .iter()
            .filter(asked)
            .map(|event| event.t_ns)
            .collect()
    }

    /// How this client's beliefs ended, with the time: `released`, `expired`, `not_owner`, `unreachable`, `store`.
    pub fn ends(&self, node: &str) -> Vec<(u64, &'a str)> {
        let ended = |event: &'a Event| match &event.kind {
            Kind::BeliefEnds { how, .. } if event.node == node => Some((event.t_ns, how.as_str())),
            _ => None,
        };
        self.events.iter().filter_map(ended).collect()
    }

    /// What this client was told instead of being granted the lock: `busy`, `timed_out`, `too_slow`, `closed`, `store`,
    /// `refused`.
    pub fn refusals(&self, node: &str) -> Vec<(u64, &'a str)> {
        let told = |event: &'a Event| match &event.kind {
            Kind::NotGranted { why, .. } if event.node == node => Some((event.t_ns, why.as_str())),
            _ => None,
        };
        self.events.iter().filter_map(told).collect()
    }

    /// All accesses to the protected resource.
    pub fn accesses(&self) -> Vec<Accessed<'a>> {
        let accessed = |event: &'a Event| match &event.kind {
            Kind::Storage {
                resource,
                access,
                by,
                attempt,
                token,
                accepted,
                newest,
                ..
            } => Some(Accessed {
                t_ns: event.t_ns,
                seq: event.seq,
                resource,
                access: *access,
                by,
                attempt: attempt.as_deref(),
                token: *token,
                accepted: *accepted,
                newest: *newest,
            }),
            _ => None,
        };
        self.events.iter().filter_map(accessed).collect()
    }

    /// The accepted writes, by time.
    pub fn writes(&self) -> Vec<Accessed<'a>> {
        let mut all = self.accesses();
        all.retain(|access| access.access == StorageAccess::Write && access.accepted);
        all
    }

    /// What the fence refused, by time.
    pub fn refused(&self) -> Vec<Accessed<'a>> {
        let mut all = self.accesses();
        all.retain(|access| !access.accepted);
        all
    }

    /// When, and why, the store took the lock from this attempt.
    pub fn authority_ended(&self, attempt: &str) -> Option<(u64, AuthorityEnd)> {
        self.events.iter().find_map(|event| match &event.kind {
            Kind::AuthorityEnds {
                attempt: Some(of),
                why,
                ..
            } if of == attempt => Some((event.t_ns, *why)),
            _ => None,
        })
    }

    /// The notes with this text, by time.
    pub fn noted(&self, text: &str) -> Vec<u64> {
        let noted =
            |event: &&Event| matches!(&event.kind, Kind::Note { text: said, .. } if said == text);
        self.events
            .iter()
            .filter(noted)
            .map(|event| event.t_ns)
            .collect()
    }

    /// When the servers said of a lock that it is nobody's any more, by time.
    pub fn lock_ends(&self) -> Vec<u64> {
        self.ends_of_locks()
            .iter()
            .map(|(t_ns, ..)| *t_ns)
            .collect()
    }

    /// The same, with why, and by whose request.
    pub fn ends_of_locks(&self) -> Vec<(u64, AuthorityEnd, Option<&'a str>)> {
        let ended = |event: &'a Event| match &event.kind {
            Kind::AuthorityEnds { why, by, .. } => Some((event.t_ns, *why, by.as_deref())),
            _ => None,
        };
        let mut all: Vec<_> = self.events.iter().filter_map(ended).collect();
        all.sort_by_key(|(t_ns, ..)| *t_ns);
        all
    }

    /// How the store's answers to these calls of a client turned out, by time.
    pub fn answers(&self, node: &str, of: CallKind) -> Vec<Outcome> {
        let mut calls = BTreeSet::new();
        let mut outcomes = Vec::new();
        for event in self.events.iter().filter(|event| event.node == node) {
            match &event.kind {
                Kind::Call { op, call, .. } if *call == of => drop(calls.insert(*op)),
                Kind::Answer { op, outcome, .. } if calls.contains(op) => outcomes.push(*outcome),
                _ => {}
            }
        }
        outcomes
    }

    /// When this client stopped asking without having been told anything.
    pub fn given_up(&self, node: &str) -> Vec<u64> {
        let given_up =
            |event: &&Event| event.node == node && matches!(event.kind, Kind::Abandoned { .. });
        let given_up = self.events.iter().filter(given_up);
        given_up.map(|event| event.t_ns).collect()
    }

    /// For how many years this client believed in its first grant when it got it.
    pub fn believed_years(&self, node: &str) -> Option<u64> {
        const YEAR_NS: u64 = 365 * 24 * 3600 * 1_000_000_000;
        self.events.iter().find_map(|event| match &event.kind {
            Kind::Granted {
                deadline_local_ns, ..
            } if event.node == node => {
                let left = deadline_local_ns.saturating_sub(event.local_ns?);
                Some(left / YEAR_NS)
            }
            _ => None,
        })
    }

    /// Two clients that believed at once: who began first, who came in, and for how long.
    pub fn overlap(&self) -> Option<(&str, &str, u64)> {
        self.overlap_of(IntervalKind::Believed)
    }

    fn overlap_of(&self, kind: IntervalKind) -> Option<(&str, &str, u64)> {
        let of_kind = |interval: &&Interval| interval.kind == kind;
        let mut all: Vec<&Interval> = self.intervals.iter().filter(of_kind).collect();
        all.sort_by_key(|interval| interval.from_ns);
        for (index, first) in all.iter().enumerate() {
            for second in &all[index + 1..] {
                let to = first.to_ns.min(second.to_ns);
                if first.name == second.name && first.node != second.node && second.from_ns < to {
                    return Some((&first.node, &second.node, to - second.from_ns));
                }
            }
        }
        None
    }

    /// Whether a write of this client was accepted after this time.
    pub fn wrote_after(&self, node: &str, t_ns: u64) -> bool {
        let mut writes = self.writes().into_iter();
        writes.any(|write| write.by == node && write.t_ns > t_ns)
    }

    /// The first time at which this client's process was stopped or killed, and at which it went on.
    pub fn stopped(&self, node: &str) -> Option<(u64, u64)> {
        let mut states = self.events.iter().filter_map(|event| match &event.kind {
            Kind::Process { state } if event.node == node => Some((event.t_ns, state.as_str())),
            _ => None,
        });
        let stops = ["paused", "suspended", "vm_paused", "crashed"];
        let (from, _) = states.find(|(_, state)| stops.contains(state))?;
        let (to, _) = states.find(|(_, state)| ["resumed", "started"].contains(state))?;
        Some((from, to))
    }
}

/// What a server said: whose the lock was.
#[derive(Clone, Debug)]
pub(crate) struct OwnedBy<'a> {
    pub from_ns: u64,
    pub attempt: Option<&'a str>,
    pub token: Option<u64>,
    /// When it ended, why, and by whose request.
    pub end: Option<(u64, AuthorityEnd, Option<&'a str>)>,
}

impl<'a> Evidence<'a> {
    /// Whose the lock was in the eyes of the servers, by the time at which it became so.
    pub fn owners(&self) -> Vec<OwnedBy<'a>> {
        let mut all: Vec<(&str, OwnedBy<'a>)> = Vec::new();
        for event in self.events {
            match &event.kind {
                Kind::AuthorityBegins { attempt, token, .. } => {
                    let owner = OwnedBy {
                        from_ns: event.t_ns,
                        attempt: attempt.as_deref(),
                        token: *token,
                        end: None,
                    };
                    all.push((&event.node, owner));
                }
                Kind::AuthorityEnds {
                    attempt,
                    token,
                    why,
                    by,
                    ..
                } => {
                    let open = all.iter_mut().rev().find(|(server, owner)| {
                        let same = (owner.attempt, owner.token) == (attempt.as_deref(), *token);
                        *server == event.node && same && owner.end.is_none()
                    });
                    if let Some((_, owner)) = open {
                        owner.end = Some((event.t_ns, *why, by.as_deref()));
                    }
                }
                _ => {}
            }
        }
        all.into_iter().map(|(_, owner)| owner).collect()
    }

    /// Those that no user code ever had.
    pub fn orphans(&self) -> Vec<OwnedBy<'a>> {
        let granted = |attempt: &str| {
            self.events.iter().any(
                |event| matches!(&event.kind, Kind::Granted { attempt: of, .. } if of == attempt),
            )
        };
        let mut all = self.owners();
        all.retain(|owner| owner.attempt.is_some_and(|attempt| !granted(attempt)));
        all
    }

    /// The calls of this kind that this client's locker made: when, and with which token.
    pub fn calls(&self, node: &str, kind: CallKind) -> Vec<(u64, Option<u64>)> {
        let made = |event: &Event| match &event.kind {
            Kind::Call { call, token, .. } if event.node == node && *call == kind => {
                Some((event.t_ns, *token))
            }
            _ => None,
        };
        self.events.iter().filter_map(made).collect()
    }

    /// How long this client waited for each of its grants.
    pub fn waits(&self, node: &str) -> Vec<u64> {
        let asked = |grant: &GrantedTo<'_>| {
            let asked = self
                .events
                .iter()
                .find(|event| matches!(&event.kind, Kind::Acquire { op, .. } if *op == grant.op))?;
            Some(grant.t_ns - asked.t_ns)
        };
        self.grants(node).iter().filter_map(asked).collect()
    }
}

/// A call of a client's locker that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    /// When a server was last at work for this client before the answer: at this call, if no other was under way.
    pub served_ns: u64,
    pub outcome: Outcome,
}

impl Evidence<'_> {
    /// The calls of this kind for which a server ran a script of this client's between the call and its end, by the
    /// time of their end.
    pub fn served(&self, node: &str, kind: CallKind) -> Vec<Answered> {
        let mut open = BTreeMap::new();
        let mut scripts = Vec::new();
        let mut all = Vec::new();
        for event in self.events {
            match &event.kind {
                Kind::Call { op, call, .. } if event.node == node && *call == kind => {
                    open.insert(*op, event.t_ns);
                }
                Kind::Server {
                    what,
                    peer: Some(peer),
                } if peer == node && what.starts_with("EVAL") => scripts.push(event.t_ns),
                Kind::Answer { op, outcome, .. } => {
                    let Some(called_ns) = open.remove(op) else {
                        continue;
                    };
                    let served = scripts.last().filter(|served| **served >= called_ns);
                    all.extend(served.map(|served_ns| Answered {
                        served_ns: *served_ns,
                        outcome: *outcome,
                    }));
                }
                _ => {}
            }
        }
        all
    }

    /// When a server got these requests of this client's, by their first word.
    pub fn requests(&self, node: &str, first: &str) -> Vec<u64> {
        let got = |event: &Event| match &event.kind {
            Kind::Server {
                what,
                peer: Some(peer),
            } if peer == node && what.split(' ').next() == Some(first) => Some(event.t_ns),
            _ => None,
        };
        self.events.iter().filter_map(got).collect()
    }

    /// When an acquisition attempt of this client's was answered so, by time.
    pub fn attempts_answered(&self, node: &str, so: Outcome) -> Vec<u64> {
        let mut open = BTreeSet::new();
        let mut all = Vec::new();
        for event in self.events.iter().filter(|event| event.node == node) {
            match &event.kind {
                Kind::Call {
                    op,
                    call: CallKind::Attempt,
                    ..
                } => drop(open.insert(*op)),
                Kind::Answer { op, outcome, .. } if open.remove(op) && *outcome == so => {
                    all.push(event.t_ns);
                }
                _ => {}
            }
        }
        all
    }

    /// When a request of this client's moved the end of a lock.
    pub fn moved_by(&self, node: &str) -> Vec<u64> {
        let moved = |event: &Event| match &event.kind {
            Kind::AuthorityMoved { by: Some(by), .. } if by == node => Some(event.t_ns),
            _ => None,
        };
        self.events.iter().filter_map(moved).collect()
    }

    /// The first of them for which a server was at work after this time.
    pub fn served_after(&self, node: &str, kind: CallKind, t_ns: u64) -> Option<Answered> {
        let mut all = self.served(node, kind).into_iter();
        all.find(|answered| answered.served_ns > t_ns)
    }
}

impl OwnedBy<'_> {
    /// How long it lasted, if it ended.
    pub fn lasted(&self) -> Option<u64> {
        let (ended, ..) = self.end?;
        Some(ended - self.from_ns)
    }
}

/// A span of true time, for people: `3.9 s`, `40 ms`.
pub(crate) fn span(ns: u64) -> String {
    Seconds::rounded(ns)
}
