use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Played, violated};
use crate::checker::{Interval, IntervalKind, Property, intervals};
use crate::scenario::{PENDING, Shown};
use crate::trace::{Kind, Trace};
use crate::words::Seconds;

/// The table over all scenarios that were played, for a terminal.
pub fn table(all: &[Played]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<33} {:<13} {:<27} with the defence",
        "scenario", "store", "without: what broke"
    );
    let _ = writeln!(out, "{}", "─".repeat(100));
    for played in all {
        let (with, without): (Vec<&Shown>, Vec<&Shown>) =
            played.takes.iter().partition(|shown| shown.way.is_fenced());
        let cells = |takes: &[&Shown], cell: fn(&Shown) -> String| -> Vec<String> {
            takes.iter().map(|shown| cell(shown)).collect()
        };
        let (without, with) = (cells(&without, broke), cells(&with, kept));
        for line in 0..without.len().max(with.len()) {
            let (name, store) = match line {
                0 => (played.scenario.name, played.store.as_str()),
                _ => ("", ""),
            };
            let cell = |cells: &[String]| cells.get(line).cloned().unwrap_or_default();
            let (without, with) = (cell(&without), cell(&with));
            let _ = writeln!(out, "{name:<33} {store:<13} {without:<27} {with}");
        }
    }
    for (name, _) in PENDING {
        let _ = writeln!(out, "{name:<33} {:<13} to come", "redlock");
    }
    out
}

/// What broke, and for how long.
fn broke(shown: &Shown) -> String {
    let broken = names(&violated(shown));
    match (broken.is_empty(), overdue(&shown.trace)) {
        (false, Some(ns)) => format!("{broken} {}", Seconds::rounded(ns)),
        (false, None) => broken,
        (true, _) => match longest_wait(shown) {
            Some(ns) => format!("waits {}", Seconds::rounded(ns)),
            None => "nothing".to_owned(),
        },
    }
}

/// The longest that anybody believed or acted after the store had ended its lease.
fn overdue(trace: &Trace) -> Option<u64> {
    let all = intervals(&trace.header, &trace.events);
    let of_kind = |kind| all.iter().filter(move |one: &&Interval| one.kind == kind);
    let overdue = of_kind(IntervalKind::Acting).filter_map(|acting| {
        let mine = of_kind(IntervalKind::Authority).filter(|one| one.attempt == acting.attempt);
        let ended = mine.map(|one| one.to_ns).max()?;
        acting.to_ns.checked_sub(ended)
    });
    overdue.max().filter(|ns| *ns > 0)
}

/// What was refused, and what nevertheless broke.
fn kept(shown: &Shown) -> String {
    let mut words = Vec::new();
    match shown.refused {
        0 => {}
        times => words.push(format!("{times} refused")),
    }
    let broken = names(&violated(shown));
    match broken.is_empty() {
        true => words.push("all holds".to_owned()),
        false => words.push(format!("{broken} as declared")),
    }
    if !shown.surprises.is_empty() {
        words.push("NOT AS IT SHOULD".to_owned());
    }
    words.join(", ")
}

fn names(properties: &[Property]) -> String {
    let names: Vec<String> = properties.iter().map(Property::to_string).collect();
    names.join(" ")
}

/// The longest that anybody waited for a lock, or in vain.
fn longest_wait(shown: &Shown) -> Option<u64> {
    let mut asked = BTreeMap::new();
    let mut longest = None;
    for event in &shown.trace.events {
        match &event.kind {
            Kind::Acquire { op, .. } => {
                asked.insert(*op, event.t_ns);
            }
            Kind::Granted { op, .. } | Kind::NotGranted { op, .. } | Kind::Abandoned { op } => {
                let waited = asked
                    .remove(op)
                    .map(|since| event.t_ns.saturating_sub(since));
                longest = longest.max(waited);
            }
            _ => {}
        }
    }
    longest
}
