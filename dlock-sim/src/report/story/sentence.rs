use std::collections::BTreeMap;

use super::{Material, Tone, exchanges, faults};
use crate::faults::{Fault, FaultKind};
use crate::trace::{AuthorityEnd, CallKind, Event, Kind, Outcome, StorageAccess};
use crate::words::{Seconds, capital};

/// What an event is in words.
pub(super) struct Said {
    pub text: String,
    pub tone: Tone,
    /// Part of the story, not only of the protocol.
    pub told: bool,
}

/// Goes through the events in order, and knows what was before.
pub(super) struct Teller<'a> {
    material: &'a Material<'a>,
    /// When each attempt's authority ended, and how.
    gone: BTreeMap<&'a str, (u64, AuthorityEnd)>,
    calls: BTreeMap<u64, (CallKind, &'a str)>,
    /// Who was granted each lock last.
    last: BTreeMap<&'a str, (&'a str, u64)>,
    /// How often a client waits for it, by its `acquire`.
    asked: BTreeMap<u64, u64>,
    /// By machine: when each of its writes was sent, and when it arrived, as `seq`s.
    writes: BTreeMap<&'a str, Vec<(u64, u64)>>,
}

impl<'a> Teller<'a> {
    pub fn new(material: &'a Material<'a>) -> Self {
        Self {
            material,
            gone: BTreeMap::new(),
            calls: BTreeMap::new(),
            last: BTreeMap::new(),
            asked: BTreeMap::new(),
            writes: writes(material),
        }
    }

    /// In words; none if it is of no interest to people.
    pub fn tell(&mut self, event: &'a Event) -> Option<Said> {
        let who = self.title(&event.node);
        let t_ns = event.t_ns;
        let said = match &event.kind {
            Kind::Acquire {
                op, name, trying, ..
            } => {
                self.asked.insert(*op, t_ns);
                match trying {
                    true => told(format!("{who} tries to get `{name}`.")),
                    false => told(format!("{who} asks for `{name}`.")),
                }
            }
            Kind::Granted {
                op,
                name,
                token,
                ttl_ns,
                ..
            } => {
                let shown = self.token(Some(*token));
                let ttl = Seconds::rounded(*ttl_ns);
                let waited = self.asked.get(op).map_or(0, |asked| t_ns - asked);
                let waited = match waited {
                    0..500_000_000 => String::new(),
                    waited => format!(" after {}", Seconds::rounded(waited)),
                };
                let order = match self.last.get(name.as_str()).copied() {
                    Some((other, newest)) if other != event.node && newest < *token => {
                        format!(
                            ", above {}'s {}",
                            self.title(other),
                            self.token(Some(newest))
                        )
                    }
                    Some((other, newest)) if other != event.node => {
                        format!(
                            ", not above {}'s {}",
                            self.title(other),
                            self.token(Some(newest))
                        )
                    }
                    _ => String::new(),
                };
                self.last.insert(name, (&event.node, *token));
                told(format!(
                    "{who} gets `{name}`{waited}, with token {shown}{order}. Its lease lasts {ttl} unless it is renewed."
                ))
            }
            Kind::NotGranted { why, .. } => told(match why.as_str() {
                "busy" => format!("{who} is told that somebody else has the lock."),
                "timed_out" => format!("{who}'s time to wait is over: it is told so."),
                "too_slow" => format!("{who} is told that too little of the lease was left."),
                "store" => format!("{who} is told that the store did not answer, or refused."),
                _ => format!("{who} does not get the lock ({why})."),
            }),
            Kind::Abandoned { .. } if self.dies(event) => return None,
            Kind::Abandoned { .. } => told(format!(
                "{who} drops its request: it wants the lock no more."
            )),
            Kind::DeadlineMoved { .. } => plain(format!("{who}'s lease is renewed.")),
            // Its process dies: nobody decided anything.
            Kind::BeliefEnds { .. } if self.dies(event) => return None,
            Kind::BeliefEnds { how, attempt, .. } => self.belief_ends(event, &who, how, attempt),
            Kind::Call { op, call, .. } => {
                self.calls.insert(*op, (*call, &event.node));
                plain(match call {
                    CallKind::Attempt => format!("{who} asks the store for the lock."),
                    CallKind::Renew => format!("{who} asks for more time."),
                    CallKind::Release => format!("{who} gives the lock back."),
                    CallKind::ForceRelease => format!("{who} takes the lock from whoever has it."),
                    CallKind::Inspect => format!("{who} looks who has the lock."),
                })
            }
            Kind::Answer { op, outcome, .. } => {
                let call = self.calls.get(op).map(|(call, _)| *call);
                plain(answer(&who, call, *outcome)?)
            }
            Kind::AuthorityBegins {
                name,
                attempt,
                token,
                ..
            } => {
                // In a split brain it goes on elsewhere.
                let gone = attempt
                    .as_deref()
                    .and_then(|attempt| self.gone.remove(attempt));
                let owner = self.owner(attempt.as_deref());
                let again = gone.is_some_and(|(gone, _)| gone < t_ns);
                if again {
                    return Some(told(format!(
                        "{} gives {} to {owner} again, whose lease had ended: an old request has arrived.",
                        self.store(&event.node),
                        self.material.lock(name),
                    )));
                }
                plain(format!(
                    "{} says: {owner} holds {}, token {}.",
                    self.store(&event.node),
                    self.material.lock(name),
                    self.token(*token)
                ))
            }
            Kind::AuthorityMoved { attempt, .. } => {
                let owner = self.owner(attempt.as_deref());
                plain(format!(
                    "{} moves the end of {owner}'s lease.",
                    self.store(&event.node)
                ))
            }
            Kind::AuthorityEnds {
                attempt, why, by, ..
            } => {
                if let Some(attempt) = attempt {
                    self.gone.entry(attempt).or_insert((t_ns, *why));
                }
                if attempt.is_none() {
                    return Some(told(
                        "The lock that was taken without dlock is gone.".to_owned(),
                    ));
                }
                let owner = self.owner(attempt.as_deref());
                if *why == AuthorityEnd::Lost
                    && let Some(other) = self.goes_on(event, attempt.as_deref())
                {
                    return Some(told(format!(
                        "From here on only {other} says that {owner} holds the lock."
                    )));
                }
                self.authority_ends(&event.node, &owner, *why, by.as_deref())
            }
            Kind::Storage {
                resource,
                access,
                by,
                attempt,
                token,
                accepted,
                newest,
                ..
            } => {
                let by = self.title(by);
                let doing = match access {
                    StorageAccess::Claim => format!("claims `{resource}`"),
                    StorageAccess::Read => format!("reads `{resource}`"),
                    StorageAccess::Write => format!("writes to `{resource}`"),
                };
                let gone = attempt
                    .as_deref()
                    .and_then(|attempt| self.gone.get(attempt));
                let late = gone.filter(|(gone, why)| *why != AuthorityEnd::Removed && *gone < t_ns);
                let late = late.map_or_else(String::new, |(gone, _)| {
                    format!(
                        ", {} after its lease had ended",
                        Seconds::rounded(t_ns - gone)
                    )
                });
                let shown = self.token(*token);
                match accepted {
                    false => Said {
                        text: format!(
                            "The storage refuses {by}, which {doing}{late}: its token {shown} is not above {}, which has claimed.",
                            self.token(*newest)
                        ),
                        tone: Tone::Good,
                        told: true,
                    },
                    true if *access == StorageAccess::Write => {
                        told(format!("{by} {doing} with token {shown}{late}."))
                    }
                    true => plain(format!("{by} {doing} with token {shown}{late}.")),
                }
            }
            Kind::FaultBegins { fault, .. } => {
                let fault = serde_json::from_value::<Fault>(fault.clone()).ok()?;
                // What it does to a process is told when it happens to the process.
                if matches!(
                    fault.kind,
                    FaultKind::Pause { .. } | FaultKind::PauseAt { .. }
                ) {
                    return None;
                }
                Said {
                    text: capital(&faults::sentence(&fault.kind, fault.for_ms)),
                    tone: Tone::Fault,
                    told: true,
                }
            }
            Kind::Process { state } => self.process(event, &who, state)?,
            Kind::Server { what, peer: None } => plain(format!("{who}: {what}.")),
            Kind::Note { text, .. } => told(format!("{}.", capital(text))),
            _ => return None,
        };
        Some(said)
    }

    /// A write of this machine that was sent before this event, and arrives after it.
    fn write_is_under_way(&self, event: &Event) -> bool {
        let sent = self.writes.get(event.node.as_str()).into_iter().flatten();
        sent.into_iter()
            .any(|(sent, arrived)| *sent < event.seq && event.seq < *arrived)
    }

    fn belief_ends(&self, event: &Event, who: &str, how: &str, attempt: &str) -> Said {
        let t_ns = event.t_ns;
        let late = self
            .gone
            .get(attempt)
            .filter(|(gone, _)| t_ns > gone.saturating_add(20_000_000));
        let late = late.map_or_else(String::new, |(gone, _)| {
            format!(
                ", {} after the store had ended it",
                Seconds::rounded(t_ns - gone)
            )
        });
        let late = match self.write_is_under_way(event) {
            true => format!("{late}. Too late: its write is already on its way"),
            false => late,
        };
        match how {
            "released" => told(format!("{who} lets the lock go.")),
            "expired" => told(format!(
                "{who} learns from its own clock that its lease is over{late}."
            )),
            "not_owner" => told(format!(
                "{who} is told that the lock is not its own any more{late}."
            )),
            "unreachable" => told(format!(
                "{who} could not renew in time, and knows that its lease is over{late}."
            )),
            _ => told(format!("{who} has lost the lock ({how}){late}.")),
        }
    }

    fn authority_ends(&self, node: &str, owner: &str, why: AuthorityEnd, by: Option<&str>) -> Said {
        let store = self.store(node);
        match why {
            AuthorityEnd::Expired => told(format!(
                "The time of {owner}'s lease is over: for {store} the lock is free."
            )),
            AuthorityEnd::Removed => match by.map(|by| self.title(by)) {
                Some(by) if by != owner => told(format!("{by} removes {owner}'s lock.")),
                _ => plain(format!("{store} removes {owner}'s lock.")),
            },
            AuthorityEnd::Replaced => told(format!("{owner}'s lock is replaced by another.")),
            AuthorityEnd::Dropped => told(format!("{owner}'s lock is gone from the store.")),
            AuthorityEnd::Lost => told(format!("{owner}'s lock is lost with the server's data.")),
        }
    }

    fn process(&self, event: &Event, who: &str, state: &str) -> Option<Said> {
        let fault = |text| Said {
            text,
            tone: Tone::Fault,
            told: true,
        };
        let later = |of: &str| {
            let mut after = self
                .material
                .events
                .iter()
                .filter(|later| later.node == event.node && later.t_ns > event.t_ns);
            after.find_map(|later| match &later.kind {
                Kind::Process { state } if state == of => Some(later.t_ns - event.t_ns),
                _ => None,
            })
        };
        Some(match state {
            "paused" => {
                let time = later("resumed")
                    .map_or_else(String::new, |ns| format!(" for {}", Seconds::rounded(ns)));
                let ttl = self.ttl_of(&event.node, event.t_ns);
                let ttl = ttl.map_or_else(String::new, |ttl| {
                    format!(
                        " Its lease lasts {}, and the store cannot tell slow from dead.",
                        Seconds::rounded(ttl)
                    )
                });
                match self.is_busy(event) {
                    true => fault(format!(
                        "{who} is busy{time} with one long operation: no other task of its process gets a turn.{ttl}"
                    )),
                    false => fault(format!(
                        "{who} is paused{time}: it does nothing, and notices nothing.{ttl}"
                    )),
                }
            }
            "suspended" | "vm_paused" => return None,
            "resumed" => fault(format!("{who} goes on, as if no time had passed.")),
            // The fault that did it was told.
            "crashed" => Said {
                told: false,
                ..fault(format!("{who} dies."))
            },
            "started" if event.t_ns > 0 => fault(format!("{who} starts.")),
            _ => return None,
        })
    }

    /// Whether it does not stand still, but works without looking up.
    fn is_busy(&self, event: &Event) -> bool {
        let from = self
            .material
            .events
            .partition_point(|other| other.t_ns < event.t_ns);
        let now = self.material.events[from..].iter();
        now.take_while(|other| other.t_ns == event.t_ns)
            .any(|other| {
                let Kind::FaultBegins { fault, .. } = &other.kind else {
                    return false;
                };
                let point = fault.get("point").and_then(|point| point.as_str());
                other.node == event.node && point.is_some_and(|point| point.contains("operation"))
            })
    }

    /// Another server that says the same of this attempt from this very moment on.
    fn goes_on(&self, event: &Event, attempt: Option<&str>) -> Option<&'a str> {
        let from = self
            .material
            .events
            .partition_point(|other| other.t_ns < event.t_ns);
        let now = self.material.events[from..].iter();
        now.take_while(|other| other.t_ns == event.t_ns)
            .find_map(|other| match &other.kind {
                Kind::AuthorityBegins { attempt: of, .. } if of.as_deref() == attempt => {
                    Some(other.node.as_str())
                }
                _ => None,
            })
    }

    /// Whether the machine crashes at this very moment.
    fn dies(&self, event: &Event) -> bool {
        let from = self
            .material
            .events
            .partition_point(|other| other.t_ns < event.t_ns);
        let now = self.material.events[from..].iter();
        now.take_while(|other| other.t_ns == event.t_ns)
            .any(|other| {
                other.node == event.node
                    && matches!(&other.kind, Kind::Process { state } if state == "crashed")
            })
    }

    /// The TTL of what this client holds then.
    fn ttl_of(&self, node: &str, t_ns: u64) -> Option<u64> {
        let mut ttl = None;
        for event in self
            .material
            .events
            .iter()
            .filter(|event| event.node == node)
        {
            if event.t_ns > t_ns {
                break;
            }
            match &event.kind {
                Kind::Granted { ttl_ns, .. } => ttl = Some(*ttl_ns),
                Kind::BeliefEnds { .. } => ttl = None,
                _ => {}
            }
        }
        ttl
    }

    fn title(&self, node: &str) -> String {
        match self.material.lane(node) {
            Some(lane) => self.material.lanes[lane].title.clone(),
            None => node.to_owned(),
        }
    }

    fn owner(&self, attempt: Option<&str>) -> String {
        match (attempt, self.material.owner(attempt)) {
            (None, _) => "somebody without dlock".to_owned(),
            (_, Some(owner)) => self.title(owner),
            (_, None) => "somebody".to_owned(),
        }
    }

    fn store(&self, node: &str) -> String {
        match node {
            "redis" => "Redis".to_owned(),
            "cluster" => "etcd".to_owned(),
            server => server.to_owned(),
        }
    }

    fn token(&self, token: Option<u64>) -> String {
        self.material.tokens.short(token)
    }
}

fn writes<'a>(material: &Material<'a>) -> BTreeMap<&'a str, Vec<(u64, u64)>> {
    let mut writes: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for (client, sent, access) in exchanges::all_accesses(material) {
        if let Kind::Storage {
            access: StorageAccess::Write,
            ..
        } = access.kind
        {
            writes
                .entry(client)
                .or_default()
                .push((sent.seq, access.seq));
        }
    }
    writes
}

fn plain(text: String) -> Said {
    Said {
        text,
        tone: Tone::Plain,
        told: false,
    }
}

fn told(text: String) -> Said {
    Said {
        told: true,
        ..plain(text)
    }
}

fn answer(who: &str, call: Option<CallKind>, outcome: Outcome) -> Option<String> {
    Some(match (outcome, call?) {
        (Outcome::Granted, _) => format!("{who} hears that the lock is its own."),
        (Outcome::Busy, _) => format!("{who} hears that it has to wait."),
        (Outcome::Renewed, _) => format!("{who} hears that it has more time."),
        (Outcome::NotOwner, _) => format!("{who} hears that the lock is not its own."),
        (Outcome::Removed, _) => format!("{who} hears that the lock is given back."),
        (Outcome::Absent, _) => format!("{who} hears that there was nothing to give back."),
        (Outcome::Seen, _) => format!("{who} hears who has the lock."),
        (Outcome::Unavailable, _) => format!("{who} reaches no server."),
        (Outcome::Indeterminate, CallKind::Attempt) => {
            format!("{who} gets no answer, and does not know whether it has the lock.")
        }
        (Outcome::Indeterminate, _) => format!("{who} gets no answer."),
        (Outcome::Rejected, _) => format!("{who} is refused by the server."),
        (Outcome::Dropped, _) => format!("{who} no longer waits for the answer."),
    })
}
