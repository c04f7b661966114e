use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::{Fault, FaultKind, OldPrimary};
use crate::service::{Phase, Service};
use crate::trace::Kind;
use crate::world::{Freeze, World, nanos};

/// The node name of the world's own events.
pub(crate) const WORLD: &str = "world";

/// Plays a plan's faults, between steps.
pub(crate) struct Driver {
    faults: Vec<Fault>,
    /// (when in ns, turn at the same time, index)
    agenda: BTreeSet<(u64, Turn, usize)>,
    /// Of what a server can only have one at a time, those that are active, the newest last.
    settings: BTreeMap<(Setting, String), Vec<usize>>,
    links: BTreeMap<(String, String), BTreeMap<usize, Trouble>>,
    points: SafePoints,
    calm_latency: Duration,
}

/// At the same time ends come first, so that one fault may follow another of its kind at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Ends,
    Begins,
    /// Of a fault without a duration: not before it begins.
    EndsAtOnce,
}

/// What a fault sets on a server, and its end sets back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Setting {
    Slow,
    ReplicationLag,
    Garble,
}

impl Setting {
    fn of(kind: &FaultKind) -> Option<(Self, String)> {
        match kind {
            FaultKind::Slow { node, .. } => Some((Self::Slow, node.clone())),
            FaultKind::ReplicationLag { node, .. } => Some((Self::ReplicationLag, node.clone())),
            FaultKind::Garble { node, .. } => Some((Self::Garble, node.clone())),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Trouble {
    /// What this one says is dropped.
    Cut {
        from: String,
    },
    Held,
    Slow(Duration),
    Lossy(f64),
}

/// Pauses that begin when a process reaches a safe point. Shared with the clients of the same world.
#[derive(Clone, Debug, Default)]
pub(crate) struct SafePoints(Arc<Mutex<Points>>);

impl SafePoints {
    pub fn points(&self) -> MutexGuard<'_, Points> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Points {
    armed: Vec<Armed>,
    /// (when it ends in ns, index in the plan, machine)
    running: Vec<(u64, usize, String)>,
}

#[derive(Debug)]
struct Armed {
    index: usize,
    fault: Value,
    node: String,
    point: String,
    from_ns: u64,
    visits_left: u32,
    for_ns: u64,
}

impl Points {
    /// A process is at a safe point: whether it stops here, and for which fault (its number, and as data).
    pub fn reached(&mut self, node: &str, point: &str, now_ns: u64) -> Option<(usize, Value)> {
        let at = self.armed.iter_mut().position(|armed| {
            let here = armed.node == node && armed.point == point && armed.from_ns <= now_ns;
            if here {
                armed.visits_left = armed.visits_left.saturating_sub(1);
            }
            here && armed.visits_left == 0
        })?;
        let armed = self.armed.remove(at);
        self.running
            .push((now_ns + armed.for_ns, armed.index, armed.node));
        Some((armed.index, armed.fault))
    }
}

impl Driver {
    pub fn new(faults: Vec<Fault>, points: SafePoints, calm_latency: Duration) -> Self {
        let mut agenda = BTreeSet::new();
        for (index, fault) in faults.iter().enumerate() {
            if let FaultKind::PauseAt { node, point, visit } = &fault.kind {
                points.points().armed.push(Armed {
                    index,
                    fault: serde_json::to_value(fault).unwrap_or_default(),
                    node: node.clone(),
                    point: point.clone(),
                    from_ns: fault.at_ms * 1_000_000,
                    visits_left: (*visit).max(1),
                    for_ns: fault.for_ms * 1_000_000,
                });
                continue;
            }
            agenda.insert((fault.at_ms * 1_000_000, Turn::Begins, index));
            if !fault.kind.is_instant() {
                let turn = match fault.for_ms {
                    0 => Turn::EndsAtOnce,
                    _ => Turn::Ends,
                };
                agenda.insert((fault.until_ms() * 1_000_000, turn, index));
            }
        }
        Self {
            faults,
            agenda,
            settings: BTreeMap::new(),
            links: BTreeMap::new(),
            points,
            calm_latency,
        }
    }

    /// Applies what is due. To be called between steps.
    pub fn apply(&mut self, world: &mut World, service: &dyn Service) {
        let now = nanos(world.elapsed());
        self.end_pauses(world, now);
        while let Some(&(at, turn, index)) = self.agenda.first()
            && at <= now
        {
            self.agenda.pop_first();
            let phase = match turn {
                Turn::Begins => Phase::Begins,
                Turn::Ends | Turn::EndsAtOnce => Phase::Ends,
            };
            let fault = self.faults[index].clone();
            tell(world, index, &fault, phase);
            self.turn(world, service, index, &fault.kind, phase);
        }
    }

    /// Whether no fault is active or to come. A pause at a safe point that nobody reaches does not count.
    pub fn is_over(&self) -> bool {
        self.agenda.is_empty() && self.points.points().running.is_empty()
    }

    /// Nothing goes wrong any more, whatever the plan says.
    pub fn disarm(&mut self) {
        self.points.points().armed.clear();
    }

    fn end_pauses(&mut self, world: &mut World, now: u64) {
        let mut points = self.points.points();
        let (over, running) = std::mem::take(&mut points.running)
            .into_iter()
            .partition(|(until, ..)| *until <= now);
        points.running = running;
        drop(points);
        let over: Vec<(u64, usize, String)> = over;
        for (_, index, node) in over {
            tell(world, index, &self.faults[index], Phase::Ends);
            if let Some(machine) = world.find(&node) {
                machine.thaw(Freeze::Pause);
            }
        }
    }

    fn turn(
        &mut self,
        world: &mut World,
        service: &dyn Service,
        index: usize,
        kind: &FaultKind,
        phase: Phase,
    ) {
        match kind {
            FaultKind::Partition { a, b } => {
                // Two entries for one fault: the second direction has a number of its own.
                let second = index + self.faults.len();
                let cut = |from: &String| Trouble::Cut { from: from.clone() };
                self.link(world, (a, b), index, cut(a), phase);
                self.link(world, (a, b), second, cut(b), phase);
            }
            FaultKind::OneWay { from, to } => {
                let cut = Trouble::Cut { from: from.clone() };
                self.link(world, (from, to), index, cut, phase);
            }
            FaultKind::Hold { a, b } => {
                self.link(world, (a, b), index, Trouble::Held, phase);
            }
            FaultKind::Latency { a, b, ms } => {
                let slow = Trouble::Slow(Duration::from_millis(*ms));
                self.link(world, (a, b), index, slow, phase);
            }
            FaultKind::Loss { a, b, per_mille } => {
                let lossy = Trouble::Lossy(f64::from(*per_mille) / 1000.0);
                self.link(world, (a, b), index, lossy, phase);
            }
            FaultKind::Pause { node } => freeze(world, node, Freeze::Pause, phase),
            FaultKind::Suspend { node } => freeze(world, node, Freeze::Suspend, phase),
            FaultKind::VmPause { node } => freeze(world, node, Freeze::VmPause, phase),
            FaultKind::ClockRate { node, ppm } => {
                if let Some(machine) = world.find(node) {
                    let ppb = if phase == Phase::Begins {
                        ppm * 1000
                    } else {
                        0
                    };
                    machine.set_clock_rate(ppb);
                }
            }
            FaultKind::Kill { node } => crash(world, node, phase),
            FaultKind::Restart { node, .. } => {
                // Its state first: what it was doing is lost with it.
                service.apply(kind, phase);
                crash(world, node, phase);
            }
            FaultKind::Freeze { node } => {
                service.apply(kind, phase);
                freeze(world, node, Freeze::Pause, phase);
            }
            FaultKind::Failover {
                old: OldPrimary::Dies,
                ..
            } => {
                if phase == Phase::Begins {
                    let dies = service.dies_with(kind);
                    service.apply(kind, phase);
                    if let Some(node) = dies {
                        world.crash(&node);
                    }
                } else if let Some(node) = service.comes_back_after(kind) {
                    world.restart(&node);
                }
            }
            _ => match Setting::of(kind) {
                Some(setting) => self.set(service, setting, index, kind, phase),
                None => service.apply(kind, phase),
            },
        }
    }

    /// They overlap: the newest counts, and at its end the one before it.
    fn set(
        &mut self,
        service: &dyn Service,
        setting: (Setting, String),
        index: usize,
        kind: &FaultKind,
        phase: Phase,
    ) {
        let active = self.settings.entry(setting).or_default();
        if phase == Phase::Begins {
            active.push(index);
            return service.apply(kind, phase);
        }
        let was_newest = active.last() == Some(&index);
        active.retain(|one| *one != index);
        match active.last() {
            _ if !was_newest => {}
            Some(before) => service.apply(&self.faults[*before].kind, Phase::Begins),
            None => service.apply(kind, phase),
        }
    }

    /// What is wrong with a link is worked out anew whenever a fault begins or ends: they overlap.
    fn link(
        &mut self,
        world: &mut World,
        (a, b): (&str, &str),
        index: usize,
        trouble: Trouble,
        phase: Phase,
    ) {
        let pair = (a.min(b).to_owned(), a.max(b).to_owned());
        let (a, b) = (pair.0.clone(), pair.1.clone());
        let troubles = self.links.entry(pair).or_default();
        let is_held = |troubles: &BTreeMap<usize, Trouble>| {
            troubles.values().any(|one| matches!(one, Trouble::Held))
        };
        let was_held = is_held(troubles);
        match phase {
            Phase::Begins => troubles.insert(index, trouble),
            Phase::Ends => troubles.remove(&index),
        };
        let is_held = is_held(troubles);
        let mut slowest = self.calm_latency;
        let mut loss = 0.0_f64;
        let mut cuts = Vec::new();
        for one in troubles.values() {
            match one {
                Trouble::Slow(latency) => slowest = slowest.max(*latency),
                Trouble::Lossy(share) => loss = loss.max(*share),
                Trouble::Cut { from } => cuts.push(from.clone()),
                Trouble::Held => {}
            }
        }
        let network = world.network();
        network.set_link_max_message_latency(&*a, &*b, slowest);
        network.set_link_fail_rate(&*a, &*b, loss);
        match (was_held, is_held) {
            (true, false) => network.release(&*a, &*b),
            (_, true) => network.hold(&*a, &*b),
            (false, false) => network.repair(&*a, &*b),
        }
        for from in cuts {
            let to = if from == a { &b } else { &a };
            network.partition_oneway(&*from, &**to);
        }
    }
}

/// A link that stays cut for good.
pub(crate) fn cut_for_good(world: &mut World, a: &str, b: &str) {
    world.network().partition(a, b);
}

fn tell(world: &World, index: usize, fault: &Fault, phase: Phase) {
    let kind = match phase {
        Phase::Begins => Kind::FaultBegins {
            index,
            fault: serde_json::to_value(fault).unwrap_or_default(),
        },
        Phase::Ends => Kind::FaultEnds { index },
    };
    world.recorder().record(WORLD, kind);
}

fn freeze(world: &World, node: &str, how: Freeze, phase: Phase) {
    let Some(machine) = world.find(node) else {
        return;
    };
    match phase {
        Phase::Begins => machine.freeze(how),
        Phase::Ends => machine.thaw(how),
    }
}

fn crash(world: &mut World, node: &str, phase: Phase) {
    match phase {
        Phase::Begins => world.crash(node),
        Phase::Ends => world.restart(node),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dlock_core::store::LockStore;

    use super::*;
    use crate::world::Machine;

    /// Writes down what is set.
    #[derive(Default)]
    struct Written(Mutex<Vec<u64>>);

    impl Service for Written {
        fn connect(&self, _: &Arc<Machine>) -> Arc<dyn LockStore> {
            unreachable!("nobody connects")
        }

        fn apply(&self, fault: &FaultKind, phase: Phase) {
            let FaultKind::Slow { ms, .. } = fault else {
                return;
            };
            let ms = if phase == Phase::Begins { *ms } else { 0 };
            self.0.lock().unwrap().push(ms);
        }
    }

    fn slow(at_ms: u64, for_ms: u64, ms: u64) -> Fault {
        let node = "redis-1".to_owned();
        Fault {
            at_ms,
            for_ms,
            kind: FaultKind::Slow { node, ms },
        }
    }

    fn played(faults: Vec<Fault>) -> Vec<u64> {
        let mut driver = Driver::new(faults.clone(), SafePoints::default(), Duration::ZERO);
        let written = Written::default();
        while let Some((_, turn, index)) = driver.agenda.pop_first() {
            let phase = match turn {
                Turn::Begins => Phase::Begins,
                Turn::Ends | Turn::EndsAtOnce => Phase::Ends,
            };
            let kind = &faults[index].kind;
            let setting = Setting::of(kind).unwrap();
            driver.set(&written, setting, index, kind, phase);
        }
        written.0.into_inner().unwrap()
    }

    #[test]
    fn one_fault_may_follow_another_of_its_kind_at_once() {
        assert_eq!(played(vec![slow(0, 5, 10), slow(5, 5, 20)]), [10, 0, 20, 0]);
    }

    #[test]
    fn the_newest_of_faults_that_overlap_counts() {
        let nested = vec![slow(0, 10, 10), slow(2, 3, 20)];
        assert_eq!(played(nested), [10, 20, 10, 0]);
        let crossed = vec![slow(0, 5, 10), slow(2, 8, 20)];
        assert_eq!(played(crossed), [10, 20, 0]);
    }

    #[test]
    fn a_fault_without_a_duration_ends() {
        assert_eq!(played(vec![slow(3, 0, 10)]), [10, 0]);
    }
}
