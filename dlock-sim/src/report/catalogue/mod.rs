//! The failure catalogue as pages: one for each scenario and store, and an index.

mod index;
mod table;

pub use index::index;
pub use table::table;

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::{Panel, Sheet};
use crate::checker::Property;
use crate::scenario::{ALL, Scenario, Section, Shown};
use crate::trace::Verdict;

/// A scenario that was played in some of its ways.
#[derive(Debug)]
#[non_exhaustive]
pub struct Played {
    /// Which.
    pub scenario: &'static Scenario,
    /// The store.
    pub store: String,
    /// In the order in which they are shown; at least one.
    pub takes: Vec<Shown>,
}

impl Played {
    /// Plays a scenario in all of its ways; none if it does not run on this store.
    pub fn of(scenario: &'static Scenario, store: &str, seed: u64) -> Option<Self> {
        let ways = scenario.takes.iter().map(|take| take.way);
        let takes: Option<Vec<Shown>> = ways.map(|way| scenario.show(store, seed, way)).collect();
        Self::with(scenario, store, takes?)
    }

    /// With these takes; none without any.
    pub fn with(scenario: &'static Scenario, store: &str, takes: Vec<Shown>) -> Option<Self> {
        (!takes.is_empty()).then(|| Self {
            scenario,
            store: store.to_owned(),
            takes,
        })
    }

    /// The name of its page among others: the store stands in it where it is not the usual one.
    pub fn file(&self) -> String {
        match self.scenario.stores.first() {
            Some(usual) if *usual == self.store => format!("{}.html", self.scenario.name),
            _ => format!("{}-{}.html", self.scenario.name, self.store),
        }
    }

    /// Whether all went as the scenario says.
    pub fn is_as_told(&self) -> bool {
        self.takes.iter().all(|shown| shown.surprises.is_empty())
    }

    /// Its page: all takes side by side.
    pub fn page(&self) -> String {
        let Scenario {
            name,
            title,
            lesson,
            source,
            ..
        } = self.scenario;
        let seed = self.takes.first().map_or(0, |shown| shown.plan.seed);
        let store = &self.store;
        let sheet = Sheet {
            name,
            title,
            store,
            seed: Some(seed),
            replay: Some(format!(
                "cargo run -p dlock-sim -- run {name} --store {store} --seed {seed}"
            )),
            lesson: Some((lesson, source)),
            among_others: true,
            panels: self.takes.iter().map(Panel::of_take).collect(),
        };
        sheet.html()
    }
}

/// Plays every scenario on each of its stores, on all cores. `told` hears of each when it is done, with how many are
/// and how many there are; the result is in the catalogue's order.
pub fn play_all(seed: u64, told: impl Fn(&Played, usize, usize) + Sync) -> Vec<Played> {
    let of_scenario = |scenario: &'static Scenario| {
        let stores = scenario.stores.iter();
        stores.map(move |store| (scenario, *store))
    };
    let work: Vec<(&'static Scenario, &str)> = ALL.iter().flat_map(of_scenario).collect();
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Played)>> = Mutex::default();
    let play = || loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some((scenario, store)) = work.get(index) else {
            return;
        };
        if let Some(played) = Played::of(scenario, store, seed) {
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            told(&played, done.len() + 1, work.len());
            done.push((index, played));
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(play);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, played)| played).collect()
}

fn section(section: Section) -> &'static str {
    match section {
        Section::Caveat => "What no lock can prevent, and a fence survives",
        Section::Bug => "Bugs that locks have had",
        Section::Witness => "Other exceptions that the stores declare",
    }
}

fn violated(shown: &Shown) -> Vec<Property> {
    let all = shown.judgement.report.properties.iter();
    all.filter(|result| result.verdict == Verdict::Invalid)
        .map(|result| result.property)
        .collect()
}
