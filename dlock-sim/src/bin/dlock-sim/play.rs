use std::path::Path;
use std::process::ExitCode;

use dlock_sim::scenario::{self, Scenario, Shown};
use dlock_sim::service::SimStore;
use dlock_sim::trace::{Trace, Verdict};
use dlock_sim::{Plan, Simulation, checker};

use super::{Fencing, store};

/// Plays a scenario.
pub fn run(
    name: &str,
    seed: u64,
    on: Option<&str>,
    fencing: Option<Fencing>,
    trace: Option<&Path>,
) -> Result<ExitCode, String> {
    let scenario = scenario::find(name)
        .ok_or_else(|| format!("there is no scenario `{name}`; see `dlock-sim list`"))?;
    let on = on.unwrap_or(scenario.stores[0]);
    if !scenario.stores.contains(&on) {
        return Err(format!(
            "`{name}` runs on {}, not on `{on}`",
            scenario.stores.join(", ")
        ));
    }
    println!("{}: {}", scenario.name, scenario.title);
    let ways = match fencing {
        Some(fencing) => vec![fencing],
        None => vec![Fencing::Unfenced, Fencing::Fenced],
    };
    let mut as_it_should = true;
    for way in ways {
        let shown = scenario.show(store(on)?, seed, way.into());
        tell(scenario, on, seed, way, &shown);
        as_it_should &= shown.surprises.is_empty();
        if let Some(path) = trace {
            save(&shown, path)?;
        }
    }
    Ok(if as_it_should {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn tell(scenario: &Scenario, on: &str, seed: u64, way: Fencing, shown: &Shown) {
    let way = match way {
        Fencing::Unfenced => "unfenced",
        Fencing::Fenced => "fenced",
    };
    println!("\n{way}, on {on}, seed {seed}:");
    for violation in shown.judgement.report.violations() {
        println!("  {} broken: {violation}", violation.property);
    }
    println!("  the fence refused {} time(s)", shown.refused);
    if shown.surprises.is_empty() {
        println!("  as `{}` should go", scenario.name);
    }
    for surprise in &shown.surprises {
        println!("  NOT as it should go: {surprise}");
    }
}

/// Plays a plan again.
pub fn replay(path: &Path, way: Fencing, trace: Option<&Path>) -> Result<ExitCode, String> {
    let plan = Plan::load(path).map_err(|error| error.to_string())?;
    let on = store(&plan.store)?;
    if let Some(scenario) = scenario::find(&plan.workload) {
        check_plan(&plan, &*on)?;
        let shown = scenario.show_plan(on, plan.clone(), way.into());
        tell(scenario, &plan.store, plan.seed, way, &shown);
        if let Some(path) = trace {
            save(&shown, path)?;
        }
        return Ok(code(shown.judgement.report.verdict));
    }
    if plan.workload != "sweep" {
        return Err(format!(
            "`{}` is a test of somebody's: DLOCK_SIM_PLAN={} cargo test {}",
            plan.workload,
            path.display(),
            plan.workload
        ));
    }
    let simulation = Simulation::sweep(on).plan(plan);
    match simulation.try_run() {
        Ok(summary) if summary.exercised > 0 => {
            println!("valid: nothing that is promised was broken");
            Ok(ExitCode::SUCCESS)
        }
        Ok(_) => {
            println!("unknown: nobody contended");
            Ok(ExitCode::from(2))
        }
        Err(failure) if failure.replay.is_none() => Err(failure.to_string()),
        Err(failure) => {
            println!("{failure}");
            if let (Some(to), Some(files)) = (trace, &failure.files) {
                std::fs::copy(&files.trace, to).map_err(|error| error.to_string())?;
            }
            Ok(ExitCode::from(1))
        }
    }
}

fn check_plan(plan: &Plan, on: &dyn SimStore) -> Result<(), String> {
    let mut nodes = on.servers();
    nodes.push("storage".to_owned());
    nodes.extend((1..=plan.clients).map(|number| format!("c{number}")));
    plan.check(&nodes)
}

/// Checks a trace.
pub fn check(path: &Path) -> Result<ExitCode, String> {
    let report = checker::check_file(path).map_err(|error| error.to_string())?;
    print!("{report}");
    Ok(code(report.verdict))
}

fn save(shown: &Shown, path: &Path) -> Result<(), String> {
    let trace = Trace {
        header: shown.header.clone(),
        events: shown.events.clone(),
    };
    trace.save(path).map_err(|error| error.to_string())
}

fn code(verdict: Verdict) -> ExitCode {
    ExitCode::from(match verdict {
        Verdict::Valid => 0,
        Verdict::Invalid => 1,
        Verdict::Unknown => 2,
    })
}
