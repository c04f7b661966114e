//! Every scenario goes as it says, in every way in which it is played; and its assertion fails without its defence.
#![allow(clippy::unwrap_used)] // Helpers of tests do as tests do.

use dlock_sim::report;
use dlock_sim::scenario::{self, Shown};

/// These show what a fence does not change: there is nothing to take out.
const WITHOUT_DEFENCE: [&str; 3] = [
    "server-clock-back",
    "etcd-leader-extends",
    "etcd-restored-orphan",
];

#[test]
fn every_scenario_goes_as_it_says_and_not_without_its_defence() {
    let mut surprises = Vec::new();
    let mut blind = Vec::new();
    for played in report::play_all(1, |_, _, _| ()) {
        let (scenario, store) = (played.scenario, &played.store);
        for shown in &played.takes {
            let way = shown.way.name();
            let all = shown.surprises.iter();
            surprises.extend(all.map(|one| format!("{} on {store}, {way}: {one}", scenario.name)));
        }
        let (with, without): (Vec<&Shown>, Vec<&Shown>) =
            played.takes.iter().partition(|shown| shown.way.is_fenced());
        let pairs = with
            .iter()
            .flat_map(|with| without.iter().map(move |bare| (with, bare)));
        for (defended, bare) in pairs {
            let missed = scenario.take(defended.way).unwrap().surprises(bare);
            let (name, said) = (
                scenario.name,
                missed.first().map_or("nothing", String::as_str),
            );
            let (bare, defended) = (bare.way.name(), defended.way.name());
            println!("| `{name}` on {store} | {bare} in place of {defended} | {said} |");
            if missed.is_empty() != WITHOUT_DEFENCE.contains(&name) {
                blind.push(name);
            }
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
    assert!(
        blind.is_empty(),
        "these pass without their defence, or need not be excepted: {blind:?}"
    );
}

#[test]
fn every_scenario_is_explained() {
    for scenario in scenario::ALL {
        let sentences = scenario.lesson.matches(['.', '?', '!']).count();
        assert!(
            (3..=6).contains(&sentences),
            "{}: {sentences} sentences",
            scenario.name
        );
        assert!(
            !scenario.source.is_empty(),
            "{} names no source",
            scenario.name
        );
    }
}
