use super::Material;
use crate::faults::{Disk, Fault, FaultKind, OldPrimary};
use crate::trace::Kind;
use crate::words::{Seconds, of_ms, with_clients};

/// A fault of the plan, from when to when.
#[derive(Clone, Debug)]
pub(crate) struct FaultBar {
    pub from_ns: u64,
    /// The same: it happened at an instant.
    pub to_ns: u64,
    pub text: String,
}

pub(super) fn faults(material: &Material<'_>) -> Vec<FaultBar> {
    let mut bars: Vec<(usize, FaultBar)> = Vec::new();
    for event in &material.events {
        match &event.kind {
            Kind::FaultBegins { index, fault } => {
                let known = serde_json::from_value::<Fault>(fault.clone()).ok();
                let instant = known.as_ref().is_some_and(|fault| fault.kind.is_instant());
                let text = known.map_or_else(
                    || "a fault".to_owned(),
                    |fault| with_clients(&short(&fault.kind)),
                );
                let to_ns = match instant {
                    true => event.t_ns,
                    false => material.end_ns.max(event.t_ns),
                };
                bars.push((
                    *index,
                    FaultBar {
                        from_ns: event.t_ns,
                        to_ns,
                        text,
                    },
                ));
            }
            Kind::FaultEnds { index } => {
                let begun = bars.iter_mut().rfind(|(known, _)| known == index);
                if let Some((_, bar)) = begun {
                    bar.to_ns = event.t_ns.min(material.end_ns).max(bar.from_ns);
                }
            }
            _ => {}
        }
    }
    bars.retain(|(_, bar)| bar.from_ns <= material.end_ns);
    merged(bars.into_iter().map(|(_, bar)| bar).collect())
}

/// Cut off from each of three members is cut off from all: one line of the picture.
fn merged(bars: Vec<FaultBar>) -> Vec<FaultBar> {
    let mut merged: Vec<FaultBar> = Vec::new();
    for bar in bars {
        let same = merged.iter_mut().find(|other| {
            let together = (other.from_ns, other.to_ns) == (bar.from_ns, bar.to_ns);
            let (before, here) = (other.text.split_once(" ✕ "), bar.text.split_once(" ✕ "));
            together
                && before
                    .zip(here)
                    .is_some_and(|(before, here)| before.0 == here.0)
        });
        match (same, bar.text.split_once(" ✕ ")) {
            (Some(same), Some((_, to))) => same.text = format!("{}, {to}", same.text),
            _ => merged.push(bar),
        }
    }
    merged
}

/// A few words, for the picture.
fn short(kind: &FaultKind) -> String {
    match kind {
        FaultKind::Partition { a, b } => format!("cut: {a} ✕ {b}"),
        FaultKind::OneWay { from, to } => format!("dropped: {from} → {to}"),
        FaultKind::Hold { a, b } => format!("held up: {a} ⋯ {b}"),
        FaultKind::Latency { a, b, ms } => format!("slow: {a} – {b}, ≤ {ms} ms"),
        FaultKind::Loss { a, b, per_mille } => {
            format!("lossy: {a} – {b}, {}.{} %", per_mille / 10, per_mille % 10)
        }
        FaultKind::Pause { node } => format!("{node} is paused"),
        FaultKind::PauseAt { node, point, .. } if point.contains("operation") => {
            format!("{node}: {}", spoken(point))
        }
        FaultKind::PauseAt { node, point, .. } => format!("{node} is paused: {}", spoken(point)),
        FaultKind::Suspend { node } => format!("{node} sleeps"),
        FaultKind::VmPause { node } => format!("hypervisor stops {node}"),
        FaultKind::ClockRate { node, ppm } => format!("{node}'s clock: {ppm:+} ppm"),
        FaultKind::Kill { node } => format!("{node} is killed"),
        FaultKind::Freeze { node } => format!("{node} stands still"),
        FaultKind::Slow { node, ms } => format!("{node} answers {ms} ms late"),
        FaultKind::Restart { node, disk } => match disk {
            Disk::Kept => format!("{node} is down"),
            Disk::LastSecondLost => format!("{node} is down, last second lost"),
            Disk::Lost => format!("{node} is down, comes back empty"),
        },
        FaultKind::ClockStep { node, by_ms } => {
            format!("{node}'s clock: {}", step(*by_ms))
        }
        FaultKind::CutConnections { node } => format!("{node}'s connections break"),
        FaultKind::DeleteLock { name } => format!("operator deletes {name}"),
        FaultKind::ReplicationLag { node, ms } => {
            format!("{node} is {} behind", Seconds::rounded(of_ms(*ms)))
        }
        FaultKind::Failover { to, old } => match old {
            OldPrimary::Dies => format!("primary dies, {to} takes over"),
            OldPrimary::Demoted => format!("{to} takes over"),
            OldPrimary::StaysForSome => format!("{to} takes over, unknown to some"),
        },
        FaultKind::FlushAll => "FLUSHALL".to_owned(),
        FaultKind::Evict => "memory is full: keys evicted".to_owned(),
        FaultKind::OutOfMemory => "out of memory".to_owned(),
        FaultKind::ScriptFlush => "SCRIPT FLUSH".to_owned(),
        FaultKind::DropPublished => "published messages vanish".to_owned(),
        FaultKind::StuckConnections { client, server } => {
            format!("stuck: what {client} has sent to {server}")
        }
        FaultKind::Garble { node, .. } => format!("{node}'s answers make no sense"),
        FaultKind::Isolate { node } => format!("{node} cut off from members"),
        FaultKind::NewLeader => "new leader".to_owned(),
        FaultKind::StallDisk { node } => format!("{node}'s disk hangs"),
        FaultKind::RevokeLease { name } => format!("operator revokes the lease of {name}"),
        FaultKind::Compact => "history compacted".to_owned(),
        FaultKind::Restore => "restored from a snapshot of this".to_owned(),
    }
}

/// A clock's step.
fn step(by_ms: i64) -> String {
    const DAY_MS: u64 = 24 * 3_600_000;
    let sign = if by_ms < 0 { '−' } else { '+' };
    match by_ms.unsigned_abs() {
        ms if ms >= DAY_MS => format!("{sign}{} days", ms / DAY_MS),
        ms => format!("{sign}{}", Seconds::rounded(of_ms(ms))),
    }
}

/// The name of a safe point as words.
fn spoken(point: &str) -> String {
    point.replace('-', " ")
}

/// A sentence, for the narration.
pub(super) fn sentence(kind: &FaultKind, for_ms: u64) -> String {
    with_clients(&plain_sentence(kind, for_ms))
}

fn plain_sentence(kind: &FaultKind, for_ms: u64) -> String {
    let time = Seconds::rounded(of_ms(for_ms));
    match kind {
        FaultKind::Partition { a, b } => {
            format!("The network between {a} and {b} is cut for {time}: what they say is dropped.")
        }
        FaultKind::OneWay { from, to } => {
            format!("For {time} nothing that {from} says reaches {to}.")
        }
        FaultKind::Hold { a, b } => {
            format!(
                "The network holds up everything between {a} and {b} for {time}, and delivers it then."
            )
        }
        FaultKind::Latency { a, b, ms } => {
            format!("Messages between {a} and {b} take up to {ms} ms, for {time}.")
        }
        FaultKind::Loss { a, b, .. } => {
            format!("Messages between {a} and {b} get lost, for {time}.")
        }
        FaultKind::Suspend { node } => {
            format!("{node}'s machine sleeps for {time}. Ordinary clocks do not count that.")
        }
        FaultKind::VmPause { node } => {
            format!("The hypervisor stops {node} for {time}. None of its clocks counts that.")
        }
        FaultKind::Kill { node } => format!("{node} is killed, with all that it had in its hands."),
        FaultKind::Freeze { node } => format!("{node} stands still for {time}."),
        FaultKind::Slow { node, ms } => format!("{node} answers {ms} ms late, for {time}."),
        FaultKind::Restart { node, disk } => {
            let finds = match disk {
                Disk::Kept => "with all its data",
                Disk::LastSecondLost => "without what was written in the last second",
                Disk::Lost => "empty",
            };
            format!("{node} goes down for {time}, and comes back {finds}.")
        }
        FaultKind::ClockStep { node, by_ms } => {
            let way = if *by_ms < 0 { "back" } else { "forward" };
            let by = step(*by_ms);
            let by = by.trim_start_matches(['−', '+']);
            format!("The clock of {node} steps {way} by {by}.")
        }
        FaultKind::ReplicationLag { node, ms } => format!(
            "{node} gets what the primary writes {} later.",
            Seconds::rounded(of_ms(*ms))
        ),
        FaultKind::Failover { to, old } => match old {
            OldPrimary::Dies => {
                format!("The primary dies. {to} is promoted, with what it had got by then.")
            }
            OldPrimary::Demoted => format!("{to} is promoted, with what it had got by then."),
            OldPrimary::StaysForSome => format!(
                "{to} is promoted, and nobody tells the old primary: some clients go on talking to it."
            ),
        },
        FaultKind::StuckConnections { client, server } => format!(
            "What {client} says to {server} over the connections that it has is stuck for {time}, and arrives then; new connections work."
        ),
        FaultKind::Garble { node, .. } => {
            format!("For {time} the answers of {node} make no sense; what it is asked it does.")
        }
        FaultKind::DeleteLock { name } => format!("An operator deletes the key of `{name}`."),
        FaultKind::Evict => "The server's memory is full: it evicts the keys.".to_owned(),
        FaultKind::StallDisk { node } => {
            format!(
                "{node}'s disk hangs for {time}: it cannot be the leader, and does not know it."
            )
        }
        FaultKind::Restore => format!(
            "Somebody takes a snapshot here; {time} later the cluster is restored from it, and its revisions go back."
        ),
        other => format!("{}.", short(other)),
    }
}
