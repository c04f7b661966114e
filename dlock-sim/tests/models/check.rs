//! Runs a model, and prints what was found as a schedule.

use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

/// Explores all states: every property must hold, and what may happen must be seen.
pub fn holds<M>(model: M, threads: usize)
where
    M: Model + Send + Sync + 'static,
    M::State: Display + Debug + Clone + PartialEq + Hash + Send + Sync,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    #[allow(clippy::disallowed_methods)] // Only for the figures.
    let began = Instant::now();
    let checker = model
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    println!(
        "{} states, {} steps, at most {} deep, {:.1?}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed(),
    );
    for property in checker.model().properties() {
        let path = checker.discovery(property.name);
        if let Some(path) = path.filter(|_| property.expectation.discovery_is_failure()) {
            print(checker.model(), property.name, path.into_vec());
        }
    }
    checker.assert_properties();
}

/// A shortest schedule that breaks the property must be found.
pub fn breaks<M>(model: M, property: &'static str)
where
    M: Model + Send + Sync + 'static,
    M::State: Display + Debug + Clone + PartialEq + Hash + Send + Sync,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    let wanted = HasDiscoveries::AllOf([property].into());
    let checker = model.checker().finish_when(wanted).spawn_bfs().join();
    let path = checker
        .discovery(property)
        .unwrap_or_else(|| panic!("no schedule was found that breaks {property:?}"));
    print(checker.model(), property, path.into_vec());
}

fn print<M: Model>(model: &M, property: &str, path: Vec<(M::State, Option<M::Action>)>)
where
    M::State: Display,
    M::Action: Debug,
{
    println!("broken: {property}");
    for (state, action) in path {
        println!("    {state}");
        if let Some(action) = action {
            println!("{}", model.format_action(&action));
        }
    }
}
