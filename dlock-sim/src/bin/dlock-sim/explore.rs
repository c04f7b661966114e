use std::io::Write;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use dlock_sim::{Faults, Property, Simulation, Summary, Swarm};

use super::store;

/// Plays many schedules.
#[derive(clap::Args)]
pub struct Exploration {
    /// Which seeds: `A..B`.
    #[arg(long, value_parser = seeds, default_value = "0..100")]
    seeds: Range<u64>,
    /// The store.
    #[arg(long, default_value = "redis")]
    store: String,
    /// Which faults.
    #[arg(long, default_value = "gentle")]
    faults: Mix,
    /// How many clients.
    #[arg(long, default_value_t = 3)]
    clients: usize,
    /// Goes on until so many seeds have failed.
    #[arg(long, default_value_t = 1)]
    failures: usize,
    /// Time goes in steps of so many ms.
    #[arg(long, default_value_t = 10)]
    step: u64,
    /// The clients go on for so many seconds after the faults.
    #[arg(long, default_value_t = 0)]
    calm: u64,
    /// Heals only some of the clients in the end.
    #[arg(long)]
    cores: bool,
    /// Leaves failing plans as they are.
    #[arg(long)]
    no_shrink: bool,
}

/// Which faults.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mix {
    /// None.
    None,
    /// Those against which the store promises everything.
    Gentle,
    /// All.
    Violent,
}

impl Exploration {
    /// Plays them.
    pub fn run(self) -> Result<ExitCode, String> {
        let faults = match self.faults {
            Mix::None => Faults::None,
            mix => {
                let mut swarm = Swarm::default();
                swarm.violent = mix == Mix::Violent;
                swarm.cores = self.cores;
                Faults::Swarm(swarm)
            }
        };
        let total = self.seeds.end.saturating_sub(self.seeds.start);
        let mut told = Duration::ZERO;
        let simulation = Simulation::sweep(store(&self.store)?)
            .client_count(self.clients)
            .faults(faults)
            .seeds(self.seeds)
            .calm(Duration::from_secs(self.calm))
            .step(Duration::from_millis(self.step))
            .shrink(!self.no_shrink)
            .progress(move |summary| {
                if summary.took >= told + Duration::from_secs(5) {
                    told = summary.took;
                    eprintln!(
                        "{} of {total} schedules, {:.0}/s",
                        summary.schedules,
                        summary.rate()
                    );
                }
            });
        let (summary, failures) = simulation
            .explore(self.failures)
            .map_err(|failure| failure.to_string())?;
        for failure in &failures {
            say!("{failure}\n");
        }
        tell(&self.store, &summary, failures.len());
        Ok(if !failures.is_empty() {
            ExitCode::from(1)
        } else if summary.exercised == 0 {
            say!("unknown: in no schedule did two clients want the same lock");
            ExitCode::from(2)
        } else {
            ExitCode::SUCCESS
        })
    }
}

fn tell(store: &str, summary: &Summary, failures: usize) {
    let per = |count: u64| count as f64 / summary.schedules.max(1) as f64;
    say!(
        "{store}: {} schedules held ({} put exclusion to the test), {failures} failed",
        summary.schedules,
        summary.exercised
    );
    say!(
        "  {:.1} grants (at least {}) and {:.1} faults a schedule, {:.1} simulated seconds each",
        per(summary.grants),
        summary.fewest_grants.min(summary.grants),
        per(summary.faults),
        summary.simulated.as_secs_f64() / summary.schedules.max(1) as f64,
    );
    say!(
        "  {:.1} schedules a second, {:.0} simulated seconds in one of wall time",
        summary.rate(),
        summary.ratio()
    );
    say!("  property  put to the test in  violated where the faults allow it");
    for property in Property::ALL {
        let tested = summary.tested.get(&property).copied().unwrap_or(0);
        let violated = summary.witnessed.get(&property).copied().unwrap_or(0);
        say!(
            "  {property:<9} {tested:>18}  {violated:>34}  {}",
            property.title()
        );
    }
}

/// Writes one trace to the standard output.
pub fn write_trace(on: &str, seed: u64) -> Result<ExitCode, String> {
    let simulation = Simulation::sweep(store(on)?).faults(Faults::swarm());
    let trace = simulation
        .trace_of(seed)
        .map_err(|failure| failure.to_string())?;
    let text = trace.to_jsonl().map_err(|error| error.to_string())?;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("write `A..B`")?;
    let number = |text: &str| {
        let parsed = text.trim().parse::<u64>();
        parsed.map_err(|_| format!("`{text}` is no number"))
    };
    let (from, to) = (number(from)?, number(to)?);
    if from >= to {
        return Err("the first seed must be below the end".to_owned());
    }
    Ok(from..to)
}
