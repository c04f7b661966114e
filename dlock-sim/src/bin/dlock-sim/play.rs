use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dlock_sim::report::{Panel, Played, Sheet};
use dlock_sim::scenario::{self, Scenario, Shown};
use dlock_sim::service::SimStore;
use dlock_sim::trace::{Trace, Verdict};
use dlock_sim::{Plan, Simulation, checker};

use super::{Way, store};

/// Other ways to look at a scenario.
#[derive(clap::Args)]
pub struct Views {
    /// Writes the page here: all ways side by side.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Prints the pictures as text, 100 columns wide.
    #[arg(long)]
    text: bool,
    /// Writes a trace for Perfetto or `chrome://tracing` (of the first way played) here.
    #[arg(long)]
    perfetto: Option<PathBuf>,
    /// Writes the picture (of the first way played) as SVG here.
    #[arg(long)]
    svg: Option<PathBuf>,
}

/// Plays a scenario.
pub fn run(
    name: &str,
    seed: u64,
    on: Option<&str>,
    way: Option<Way>,
    trace: Option<&Path>,
    views: &Views,
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
    say!("{}: {}", scenario.name, scenario.title);
    let ways = match way {
        Some(way) => vec![way.into()],
        None => scenario.takes.iter().map(|take| take.way).collect(),
    };
    let mut takes = Vec::new();
    for way in ways {
        let shown = scenario.show(on, seed, way);
        let shown = shown.ok_or_else(|| no_take(scenario, way))?;
        tell(scenario, on, seed, &shown);
        takes.push(shown);
    }
    let played = Played::with(scenario, on, takes).ok_or("there is nothing to play")?;
    if let (Some(path), Some(shown)) = (trace, played.takes.first()) {
        save(shown, path)?;
        say!("wrote {} ({})", path.display(), shown.way.name());
    }
    views.write(&played)?;
    Ok(if played.is_as_told() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

impl Views {
    fn write(&self, played: &Played) -> Result<(), String> {
        let write = |path: &Option<PathBuf>, of: &str, text: &dyn Fn() -> String| {
            let Some(path) = path else { return Ok(()) };
            let failed = |error| format!("{}: {error}", path.display());
            std::fs::write(path, text()).map_err(failed)?;
            say!("wrote {} ({of})", path.display());
            Ok::<(), String>(())
        };
        if self.text {
            for shown in &played.takes {
                say!("\n{}", Panel::of_take(shown).text());
            }
        }
        write(&self.html, "all ways", &|| played.page())?;
        let Some(first) = played.takes.first() else {
            return Ok(());
        };
        let (way, panel) = (first.way.name(), Panel::of_take(first));
        write(&self.svg, way, &|| panel.svg())?;
        write(&self.perfetto, way, &|| panel.perfetto())
    }
}

fn no_take(scenario: &Scenario, way: scenario::Way) -> String {
    let ways: Vec<&str> = scenario.takes.iter().map(|take| take.way.name()).collect();
    format!(
        "`{}` is played {}, not {}",
        scenario.name,
        ways.join(" and "),
        way.name()
    )
}

fn tell(scenario: &Scenario, on: &str, seed: u64, shown: &Shown) {
    say!("\n{}, on {on}, seed {seed}:", shown.way.name());
    for violation in shown.judgement.report.violations() {
        say!("  {} broken: {violation}", violation.property);
    }
    if let Some(outcome) = &shown.outcome {
        say!("  {outcome}");
    }
    say!("  the fence refused {} time(s)", shown.refused);
    if shown.surprises.is_empty() {
        say!("  as `{}` should go", scenario.name);
    }
    for surprise in &shown.surprises {
        say!("  NOT as it should go: {surprise}");
    }
}

/// Plays a plan again.
pub fn replay(path: &Path, way: Option<Way>, trace: Option<&Path>) -> Result<ExitCode, String> {
    let plan = Plan::load(path).map_err(|error| error.to_string())?;
    let on = store(&plan.store)?;
    if let Some(scenario) = scenario::find(&plan.workload) {
        check_plan(&plan, &*on)?;
        let way = way.map_or(scenario.takes[0].way, scenario::Way::from);
        let shown = scenario.show_plan(plan.clone(), way);
        let shown = shown.ok_or_else(|| no_take(scenario, way))?;
        tell(scenario, &plan.store, plan.seed, &shown);
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
            say!("valid: nothing that is promised was broken");
            Ok(ExitCode::SUCCESS)
        }
        Ok(_) => {
            say!("unknown: nobody contended");
            Ok(ExitCode::from(2))
        }
        Err(failure) if failure.replay.is_none() => Err(failure.to_string()),
        Err(failure) => {
            say!("{failure}");
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

/// Checks a trace, and draws it.
pub fn check(path: &Path, html: Option<&Path>) -> Result<ExitCode, String> {
    let trace = Trace::load(path).map_err(|error| error.to_string())?;
    let report = checker::check(&trace.header, &trace.events);
    say!("{report}");
    if let Some(html) = html {
        let sheet = Sheet {
            name: &trace.header.title,
            title: "A trace that was checked",
            store: &trace.header.store,
            seed: trace.header.seed,
            replay: None,
            lesson: None,
            among_others: false,
            panels: vec![Panel::of(&trace, &report)],
        };
        std::fs::write(html, sheet.html())
            .map_err(|error| format!("{}: {error}", html.display()))?;
    }
    Ok(code(report.verdict))
}

fn save(shown: &Shown, path: &Path) -> Result<(), String> {
    shown.trace.save(path).map_err(|error| error.to_string())
}

fn code(verdict: Verdict) -> ExitCode {
    ExitCode::from(match verdict {
        Verdict::Valid => 0,
        Verdict::Invalid => 1,
        Verdict::Unknown => 2,
    })
}
