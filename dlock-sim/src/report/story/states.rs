use std::collections::BTreeMap;

use super::Material;
use crate::trace::{Event, Kind, Role};
use crate::words::Seconds;

/// How each machine stands, as the events go by.
pub(super) struct States<'a> {
    material: &'a Material<'a>,
    machines: BTreeMap<&'a str, Machine<'a>>,
    /// Who holds a lock, by who says so and its name.
    authority: BTreeMap<(&'a str, &'a str), (String, Option<u64>)>,
    /// The Redis server that is the primary of the newest epoch.
    primary: Option<&'a str>,
    written: Option<String>,
    claimed: Option<u64>,
}

#[derive(Default)]
struct Machine<'a> {
    /// Frozen or down.
    state: Option<&'a str>,
    waits: usize,
    /// By the lock's name: the token, and the deadline on its own clock.
    holds: BTreeMap<&'a str, (u64, u64)>,
    lost: bool,
    /// Its own clock at a true time.
    clock: Option<(u64, u64)>,
}

impl<'a> States<'a> {
    pub fn new(material: &'a Material<'a>) -> Self {
        Self {
            material,
            machines: BTreeMap::new(),
            authority: BTreeMap::new(),
            primary: material
                .lanes
                .iter()
                .map(|lane| lane.node.as_str())
                .find(|node| node.starts_with("redis")),
            written: None,
            claimed: None,
        }
    }

    pub fn after(&mut self, event: &'a Event) {
        let title = |node: &str| {
            let lane = self.material.lane(node);
            lane.map_or_else(
                || node.to_owned(),
                |lane| self.material.lanes[lane].title.clone(),
            )
        };
        let machine = self.machines.entry(&event.node).or_default();
        if let Some(local_ns) = event.local_ns {
            machine.clock = Some((event.t_ns, local_ns));
        }
        match &event.kind {
            Kind::Process { state } => {
                machine.state = match state.as_str() {
                    "paused" => Some("stands still"),
                    "suspended" => Some("sleeps"),
                    "vm_paused" => Some("is stopped by the hypervisor"),
                    "crashed" => Some("is down"),
                    _ => None,
                };
                if state == "crashed" {
                    machine.holds.clear();
                    machine.waits = 0;
                }
            }
            Kind::Acquire { .. } => machine.waits += 1,
            Kind::NotGranted { .. } | Kind::Abandoned { .. } => {
                machine.waits = machine.waits.saturating_sub(1);
            }
            Kind::Granted {
                name,
                token,
                deadline_local_ns,
                ..
            } => {
                machine.waits = machine.waits.saturating_sub(1);
                machine.lost = false;
                machine.holds.insert(name, (*token, *deadline_local_ns));
            }
            Kind::DeadlineMoved {
                name,
                token,
                deadline_local_ns,
                ..
            } => {
                machine.holds.insert(name, (*token, *deadline_local_ns));
            }
            Kind::BeliefEnds { name, how, .. } => {
                machine.holds.remove(name.as_str());
                machine.lost = how != "released";
            }
            Kind::AuthorityBegins {
                name,
                attempt,
                until_ns,
                ..
            }
            | Kind::AuthorityMoved {
                name,
                attempt,
                until_ns,
                ..
            } => {
                let owner = self.material.owner(attempt.as_deref());
                let owner = owner.map_or_else(|| "somebody without dlock".to_owned(), title);
                let place = (event.node.as_str(), name.as_str());
                self.authority.insert(place, (owner, *until_ns));
            }
            Kind::AuthorityEnds { name, .. } => {
                self.authority.remove(&(event.node.as_str(), name.as_str()));
            }
            Kind::Server { what, peer: None } if what.starts_with("promoted") => {
                self.primary = Some(&event.node);
            }
            Kind::Storage {
                by,
                access,
                accepted,
                newest,
                ..
            } => {
                self.claimed = *newest;
                if *accepted && *access == crate::trace::StorageAccess::Write {
                    self.written = Some(title(by));
                }
            }
            _ => {}
        }
    }

    /// In the order of the lanes.
    pub fn all(&self, t_ns: u64) -> Vec<String> {
        let lanes = self.material.lanes.iter();
        lanes
            .map(|lane| self.one(&lane.node, lane.role, t_ns))
            .collect()
    }

    fn one(&self, node: &str, role: Role, t_ns: u64) -> String {
        let machine = self.machines.get(node);
        let state = machine.and_then(|machine| machine.state);
        match role {
            Role::Client => client(machine, state, t_ns, |token| {
                self.material.tokens.short(Some(token))
            }),
            Role::Server => match state {
                Some(state) => state.to_owned(),
                None => self.server(node, t_ns),
            },
            _ => {
                let written = self.written.as_ref();
                let written = written.map_or_else(
                    || "nothing written yet".to_owned(),
                    |by| format!("last written by {by}"),
                );
                match self.claimed {
                    Some(_) => {
                        let newest = self.material.tokens.short(self.claimed);
                        format!("{written}; refuses tokens below {newest}")
                    }
                    None => written,
                }
            }
        }
    }

    fn server(&self, node: &str, t_ns: u64) -> String {
        let mut says = self.held_by(node, t_ns);
        let speaks = self.primary.is_none_or(|primary| primary == node);
        if says.is_empty() && !speaks {
            return "is a replica, or was replaced".to_owned();
        }
        if says.is_empty() {
            says = ["redis", "cluster"]
                .iter()
                .flat_map(|service| self.held_by(service, t_ns))
                .collect();
        }
        match says.is_empty() {
            true => "nothing is locked".to_owned(),
            false => says.join("; "),
        }
    }

    fn held_by(&self, who: &str, t_ns: u64) -> Vec<String> {
        let of_it = self.authority.iter().filter(|((by, _), _)| *by == who);
        of_it
            .map(|((_, name), (owner, until))| {
                let lock = self.material.lock(name).replace('`', "");
                let until = until.map_or_else(String::new, |until| {
                    format!(
                        ", for {} more",
                        Seconds::rounded(until.saturating_sub(t_ns))
                    )
                });
                format!("{owner} holds {lock}{until}")
            })
            .collect()
    }
}

fn client(
    machine: Option<&Machine<'_>>,
    state: Option<&str>,
    t_ns: u64,
    token: impl Fn(u64) -> String,
) -> String {
    let Some(machine) = machine else {
        return "not there yet".to_owned();
    };
    let left = |deadline: u64| {
        let (at, local) = machine.clock?;
        let now = local.saturating_add(t_ns.saturating_sub(at));
        deadline.checked_sub(now)
    };
    let belief = |(number, deadline): &(u64, u64)| match left(*deadline) {
        Some(ns) if ns > 1_000_000_000_000 => {
            format!("believes, without end (token {})", token(*number))
        }
        Some(ns) => format!(
            "believes, for {} more (token {})",
            Seconds::rounded(ns),
            token(*number)
        ),
        None => format!("its deadline is over (token {})", token(*number)),
    };
    let beliefs: Vec<String> = machine.holds.values().map(belief).collect();
    let mut text = match (beliefs.is_empty(), machine.waits) {
        (false, _) => beliefs.join("; "),
        (true, 1) => "waits for the lock".to_owned(),
        (true, waiters) if waiters > 1 => format!("{waiters} tasks wait for the lock"),
        (true, _) if machine.lost => "knows that it has lost the lock".to_owned(),
        (true, _) => "has nothing to do with the lock".to_owned(),
    };
    if let Some(state) = state {
        text = format!("{state}; {text}");
    }
    text
}
