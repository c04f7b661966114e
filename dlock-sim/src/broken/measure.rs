use std::collections::BTreeSet;
use std::fmt::Write;

use super::Broken;
use crate::checker::Property;
use crate::faults::Faults;

/// Where the five searches begin.
const STARTS: [u64; 5] = [0, 1000, 2000, 3000, 4000];

/// How many seeds a search takes at most.
const SEEDS: u64 = 200;

/// How soon a broken store or client is caught.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// Which.
    pub broken: Broken,
    /// Whether the usual swarm catches it; else it has faults of its own.
    pub by_swarm: bool,
    /// The properties that caught it, of those that should.
    pub caught_by: BTreeSet<Property>,
    /// All properties that it violated.
    pub violated: BTreeSet<Property>,
    /// For each search the number of seeds it took; none: not within the limit.
    pub seeds: Vec<Option<u64>>,
}

impl Row {
    /// The median of the seeds it took; none if most searches found nothing.
    pub fn median(&self) -> Option<u64> {
        let mut seeds = self.seeds.clone();
        // What was not found counts as the most.
        seeds.sort_by_key(|seeds| seeds.unwrap_or(u64::MAX));
        seeds.get(seeds.len() / 2).copied().flatten()
    }
}

/// Looks for each from five starting points, up to 200 seeds each.
pub fn measure() -> Vec<Row> {
    Broken::ALL.into_iter().map(measure_one).collect()
}

/// The same for one.
pub fn measure_one(broken: Broken) -> Row {
    let mut row = Row {
        broken,
        by_swarm: matches!(broken.faults(), Faults::Swarm(_)),
        caught_by: BTreeSet::new(),
        violated: BTreeSet::new(),
        seeds: Vec::new(),
    };
    for start in STARTS {
        let Err(failure) = broken.run(start..start + SEEDS) else {
            row.seeds.push(None);
            continue;
        };
        let violated = failure.broken.iter().filter_map(|broken| broken.property);
        let violated: BTreeSet<Property> = violated.collect();
        let expected = broken.caught_by();
        let caught = violated.iter().filter(|one| expected.contains(one));
        row.caught_by.extend(caught);
        row.seeds.push(Some(failure.held_before + 1));
        row.violated.extend(violated);
    }
    row
}

/// The rows as a table for people.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<38} {:<8} {:>6}  {:<27} {:<7} {}\n",
        "broken", "caught by", "median", "seeds from 0, 1000, …, 4000", "faults", "also"
    );
    for row in rows {
        let seeds: Vec<String> = row.seeds.iter().map(|seeds| shown(*seeds)).collect();
        let also = row.violated.difference(&row.caught_by).copied();
        // A `String` takes everything.
        let _ = writeln!(
            text,
            "{:<38} {:<9} {:>6}  {:<27} {:<7} {}",
            row.broken.name(),
            names(row.caught_by.iter().copied()),
            shown(row.median()),
            seeds.join(" "),
            if row.by_swarm { "swarm" } else { "own" },
            names(also),
        );
    }
    text
}

fn shown(seeds: Option<u64>) -> String {
    seeds.map_or_else(|| format!("> {SEEDS}"), |seeds| seeds.to_string())
}

fn names(properties: impl Iterator<Item = Property>) -> String {
    let names: Vec<String> = properties.map(|property| property.to_string()).collect();
    names.join(" ")
}
