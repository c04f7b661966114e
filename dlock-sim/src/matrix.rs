//! The expectation matrix: what each store promises under which faults, and the witness of each exception.
//!
//! What a store declares (`Capabilities::exceptions`) is data; the witnesses are scenarios, which are played to show
//! that the exception is real.

use std::fmt::Write as _;

use dlock_core::store::{Capabilities, FaultClass, Promise, Property as Promised};

use crate::checker::Property;
use crate::scenario::{self, Scenario};
use crate::service::SimStore;
use crate::stores;
use crate::trace::Verdict;

/// Where the table stands in a text.
const BEGIN: &str = "<!-- the caveat table: written by `dlock-sim matrix --write` -->";
const END: &str = "<!-- the end of the caveat table -->";

const CLASSES: [(FaultClass, &str); 9] = [
    (FaultClass::Network, "network"),
    (FaultClass::ClientPause, "client paused"),
    (FaultClass::VmPause, "VM paused"),
    (FaultClass::ClockRate, "clock rate"),
    (FaultClass::ServerClockStep, "server clock steps"),
    (FaultClass::ServerPause, "server stalls"),
    (FaultClass::ServerRestart, "server restarts"),
    (FaultClass::ServerLosesData, "server loses data"),
    (FaultClass::KeysDropped, "keys dropped"),
];

/// An exception that a store declares.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The store.
    pub store: &'static str,
    /// What may be violated.
    pub property: Promised,
    /// Under which faults.
    pub class: FaultClass,
    /// The scenario that shows it.
    pub witness: &'static str,
}

/// All exceptions of all stores.
pub fn exceptions() -> Vec<Exception> {
    let mut all = Vec::new();
    for capabilities in kinds() {
        for (property, class, promise) in capabilities.exceptions {
            if let Promise::Violable(witness) = promise {
                all.push(Exception {
                    store: capabilities.store,
                    property: *property,
                    class: *class,
                    witness,
                });
            }
        }
    }
    all
}

/// The stores by what they declare: several of ours may be one kind.
fn kinds() -> Vec<Capabilities> {
    let mut kinds: Vec<Capabilities> = Vec::new();
    for store in stores::all() {
        let capabilities = store.capabilities();
        if !kinds.iter().any(|kind| kind.store == capabilities.store) {
            kinds.push(capabilities);
        }
    }
    kinds
}

impl Exception {
    /// Plays the witness. An error says why it shows nothing.
    pub fn show(&self, seed: u64) -> Result<(), String> {
        let scenario = scenario::find(self.witness)
            .ok_or_else(|| format!("there is no scenario `{}`", self.witness))?;
        let store = self
            .store_of(scenario)
            .ok_or_else(|| format!("`{}` does not run on {}", self.witness, self.store))?;
        let take = scenario
            .bare()
            .ok_or("it is not played with dlock unfenced")?;
        let shown = scenario.show(store.name(), seed, take.way);
        let shown = shown.ok_or("it is not played")?;
        if !shown.plan.classes().contains(&self.class) {
            return Err(format!("`{}` has no such fault", self.witness));
        }
        let property = Property::of(self.property);
        let result = property.and_then(|property| shown.judgement.report.of(property));
        match result {
            Some(result) if result.verdict == Verdict::Invalid => Ok(()),
            _ => Err(format!("`{}` did not violate it", self.witness)),
        }
    }

    fn store_of(&self, scenario: &Scenario) -> Option<std::sync::Arc<dyn SimStore>> {
        let mut stores = scenario.stores.iter().filter_map(|name| stores::find(name));
        stores.find(|store| store.capabilities().store == self.store)
    }
}

/// The table, in Markdown.
pub fn table() -> String {
    let mut text = String::new();
    for capabilities in kinds() {
        let _ = writeln!(text, "**{}**\n", capabilities.store);
        let titles: Vec<&str> = CLASSES.iter().map(|(_, title)| *title).collect();
        let _ = writeln!(text, "| | {} |", titles.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(CLASSES.len()));
        for property in Property::ALL {
            let Some(promised) = property.promised() else {
                continue;
            };
            let cells: Vec<String> = CLASSES
                .iter()
                .map(|(class, _)| match capabilities.promise(promised, *class) {
                    Promise::Guaranteed => "✓".to_owned(),
                    Promise::Violable(witness) => format!("`{witness}`"),
                    _ => "–".to_owned(),
                })
                .collect();
            let _ = writeln!(
                text,
                "| {property} {} | {} |",
                property.title(),
                cells.join(" | ")
            );
        }
        text.push('\n');
    }
    text.push_str("✓ holds in every schedule that was tried. A name is the scenario that breaks it: `cargo run -p dlock-sim -- run NAME` plays it. – there is no such fault.\n");
    text
}

/// A text with the table put between its marks; none if it has no marks.
pub fn put_into(text: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n{END}{after}", table()))
}
