use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Span, without};
use crate::trace::{Event, Header, Kind, Role};

/// When which machine ran, and when the world was in trouble.
pub(in crate::checker) struct Machines<'a> {
    clients: BTreeSet<&'a str>,
    /// The spans in which a machine's process did not run.
    stopped: BTreeMap<&'a str, Vec<Span>>,
    troubles: Vec<Trouble<'a>>,
    healed: Option<(u64, Option<&'a [String]>)>,
    last_trouble_ns: Option<u64>,
}

/// Something that may keep a client from the store.
struct Trouble<'a> {
    /// Closed.
    span: Span,
    /// The clients that it concerns; none: all.
    clients: BTreeSet<&'a str>,
}

/// From when on liveness counts.
#[derive(Clone, Copy, Debug)]
pub(in crate::checker) struct Healed<'a> {
    pub(in crate::checker) at_ns: u64,
    core: Option<&'a [String]>,
}

impl Healed<'_> {
    /// Whether this machine can reach the store from here on.
    pub(in crate::checker) fn concerns(&self, node: &str) -> bool {
        let inside = |core: &[String]| core.iter().any(|member| member == node);
        self.core.is_none_or(inside)
    }
}

/// Faults at an instant that leave all connections alone: what they do is seen in what the servers say.
const QUIET_FAULTS: [&str; 6] = [
    "clock_rate",
    "delete_lock",
    "flush_all",
    "evict",
    "revoke_lease",
    "script_flush",
];

/// How often a process was stopped and not set going again, and whether it is dead.
#[derive(Default)]
struct Process {
    frozen: u32,
    dead: bool,
    /// Since when it does not run.
    since: Option<u64>,
    seen: bool,
}

impl<'a> Machines<'a> {
    pub(super) fn new(header: &'a Header, events: &[&'a Event]) -> Self {
        let clients = header.nodes.iter().filter(|node| node.role == Role::Client);
        let mut this = Self {
            clients: clients.map(|node| &node.name[..]).collect(),
            stopped: BTreeMap::new(),
            troubles: Vec::new(),
            healed: None,
            last_trouble_ns: None,
        };
        let mut processes: BTreeMap<&str, Process> = BTreeMap::new();
        let mut open: BTreeMap<usize, usize> = BTreeMap::new();
        for event in events {
            let t_ns = event.t_ns;
            match &event.kind {
                Kind::Process { state } => {
                    let process = processes.entry(&event.node).or_default();
                    this.process(&event.node, process, state, t_ns);
                }
                Kind::FaultBegins { index, fault } => {
                    this.last_trouble_ns = Some(t_ns);
                    let kind = fault.get("fault").and_then(Value::as_str);
                    if kind.is_none_or(|kind| !QUIET_FAULTS.contains(&kind)) {
                        open.insert(*index, this.troubles.len());
                        let clients = this.named(fault);
                        this.trouble(t_ns, clients);
                    }
                }
                Kind::FaultEnds { index } => {
                    if let Some(trouble) = open.remove(index) {
                        this.troubles[trouble].span.to = t_ns;
                    }
                }
                Kind::Healed { core } => this.healed = Some((t_ns, core.as_deref())),
                _ => {}
            }
        }
        for (node, process) in processes {
            if let Some(from) = process.since {
                this.stop(node, from, u64::MAX);
            }
        }
        this
    }

    fn process(&mut self, node: &'a str, process: &mut Process, state: &str, t_ns: u64) {
        let first = !std::mem::replace(&mut process.seen, true);
        match state {
            "started" => process.dead = false,
            "resumed" => process.frozen = process.frozen.saturating_sub(1),
            "crashed" => process.dead = true,
            _ => process.frozen += 1,
        }
        if state == "started" && first {
            return;
        }
        let runs = !process.dead && process.frozen == 0;
        if runs {
            if let Some(from) = process.since.take() {
                self.stop(node, from, t_ns);
            }
        } else {
            process.since.get_or_insert(t_ns);
            self.last_trouble_ns = Some(t_ns);
        }
        let is_client = self.clients.contains(node);
        self.trouble(t_ns, is_client.then_some(node).into_iter().collect());
    }

    /// The clients that a fault names.
    fn named(&self, fault: &'a Value) -> BTreeSet<&'a str> {
        let fields = fault.as_object().into_iter().flatten();
        let texts = fields.filter_map(|(_, value)| value.as_str());
        texts.filter(|text| self.clients.contains(text)).collect()
    }

    fn trouble(&mut self, t_ns: u64, clients: BTreeSet<&'a str>) {
        let span = Span {
            from: t_ns,
            to: t_ns,
        };
        self.troubles.push(Trouble { span, clients });
    }

    fn stop(&mut self, node: &'a str, from: u64, to: u64) {
        self.stopped
            .entry(node)
            .or_default()
            .push(Span { from, to });
    }

    /// Whether the machine's process runs from the beginning to the end of the span.
    pub(in crate::checker) fn runs(&self, node: &str, span: Span) -> bool {
        // Closed: a process that stops at the very end has not used that moment.
        let touches = |stop: &Span| stop.from <= span.to && span.from < stop.to;
        !self.stopped.get(node).into_iter().flatten().any(touches)
    }

    /// When the machine's process stops next, or at once if it does not run.
    pub(in crate::checker) fn stops_after(&self, node: &str, t_ns: u64) -> Option<u64> {
        let stops = self.stopped.get(node)?;
        let next = stops.iter().find(|stop| stop.to > t_ns)?;
        Some(next.from.max(t_ns))
    }

    /// The parts of a span in which the machine's process runs.
    pub(in crate::checker) fn running(&self, node: &str, span: Span) -> Vec<Span> {
        let stops = self.stopped.get(node).map_or(&[][..], Vec::as_slice);
        without(span, stops.iter().copied())
    }

    /// Whether nothing kept a client from the store in this span. A fault that does not end in the trace happened at
    /// an instant.
    pub(in crate::checker) fn connected(&self, node: &str, span: Span) -> bool {
        let hits = |trouble: &&Trouble| {
            let all = trouble.clients.is_empty();
            let concerns = all || trouble.clients.contains(node);
            concerns && trouble.span.from <= span.to && span.from <= trouble.span.to
        };
        !self.troubles.iter().any(|trouble| hits(&trouble))
    }

    /// Since when a client has surely found connections that live, after the faults: one that died without a word is
    /// noticed when something was due.
    pub(in crate::checker) fn settled(
        &self,
        healed: &Healed<'_>,
        node: &str,
        reconnect_ns: u64,
    ) -> u64 {
        let concerns =
            |trouble: &&Trouble| trouble.clients.is_empty() || trouble.clients.contains(node);
        let last = self
            .troubles
            .iter()
            .filter(concerns)
            .map(|trouble| trouble.span.to)
            .max();
        let settled = last.map_or(0, |last| last.saturating_add(reconnect_ns));
        settled.max(healed.at_ns)
    }

    /// From when on liveness counts: from the beginning without faults; else from the last `healed`; never when faults
    /// come after it.
    pub(in crate::checker) fn healed(&self) -> Option<Healed<'a>> {
        match (self.healed, self.last_trouble_ns) {
            (None | Some((_, None)), None) => Some(Healed {
                at_ns: 0,
                core: None,
            }),
            (Some((at_ns, core)), trouble) if trouble.is_none_or(|last| last <= at_ns) => {
                Some(Healed { at_ns, core })
            }
            _ => None,
        }
    }
}
