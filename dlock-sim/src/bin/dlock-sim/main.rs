//! The simulator on the command line.
//!
//! Ends with 0 (valid), 1 (invalid), 2 (unknown), or 64 when it was asked for something that makes no sense.

#[macro_use]
mod output;

mod catalogue;
mod explore;
mod matrix;
mod play;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use dlock_sim::{scenario, stores};

#[derive(Parser)]
#[command(
    name = "dlock-sim",
    version,
    about = "Locks in a world where everything goes wrong"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what there is: scenarios and stores.
    List,
    /// Plays a scenario, without a defence and with it, and says whether it went as it should.
    Run {
        /// The scenario; see `list`.
        name: String,
        /// The seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The store; the scenario's usual one if not given.
        #[arg(long)]
        store: Option<String>,
        /// Only this way; else all of the scenario's.
        #[arg(long)]
        way: Option<Way>,
        /// Writes the trace (of the first way played) here.
        #[arg(long)]
        trace: Option<PathBuf>,
        #[command(flatten)]
        views: play::Views,
    },
    /// Plays every scenario, prints a table, and writes a page for each.
    Catalogue(catalogue::Catalogue),
    /// Plays many schedules with random faults and checks what the store promises.
    Explore(explore::Exploration),
    /// Plays a plan again.
    Replay {
        /// The `plan.json` of a failure.
        plan: PathBuf,
        /// For a plan of a scenario: this way; else the first of the scenario's.
        #[arg(long)]
        way: Option<Way>,
        /// Writes the trace here.
        #[arg(long)]
        trace: Option<PathBuf>,
    },
    /// Checks a trace, of the simulator or of real servers.
    Check {
        /// The `trace.jsonl`.
        trace: PathBuf,
        /// Writes a page with its picture here.
        #[arg(long)]
        html: Option<PathBuf>,
    },
    /// Plays every witness and prints what each store promises under which faults.
    Matrix(matrix::Matrix),
    /// Writes the trace of one seed of the sweep to the standard output.
    Trace {
        /// The store.
        #[arg(long)]
        store: String,
        /// The seed.
        #[arg(long)]
        seed: u64,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// dlock; its clients write as they please.
    Unfenced,
    /// dlock; its clients show their tokens to the fence.
    Fenced,
    /// A simple or broken lock.
    Naive,
    /// dlock as it is meant to be used.
    Ours,
}

impl From<Way> for scenario::Way {
    fn from(way: Way) -> Self {
        match way {
            Way::Unfenced => Self::Unfenced,
            Way::Fenced => Self::Fenced,
            Way::Naive => Self::Naive,
            Way::Ours => Self::Ours,
        }
    }
}

/// Asked for something that makes no sense.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let outcome = match arguments.command {
        Command::List => list(),
        Command::Run {
            name,
            seed,
            store,
            way,
            trace,
            views,
        } => play::run(&name, seed, store.as_deref(), way, trace.as_deref(), &views),
        Command::Catalogue(catalogue) => catalogue.run(),
        Command::Explore(exploration) => exploration.run(),
        Command::Replay { plan, way, trace } => play::replay(&plan, way, trace.as_deref()),
        Command::Check { trace, html } => play::check(&trace, html.as_deref()),
        Command::Matrix(matrix) => matrix.run(),
        Command::Trace { store, seed } => explore::write_trace(&store, seed),
    };
    match outcome {
        Ok(code) => code,
        Err(problem) => {
            eprintln!("dlock-sim: {problem}");
            ExitCode::from(USAGE)
        }
    }
}

fn list() -> Result<ExitCode, String> {
    say!("scenarios (dlock-sim run NAME):");
    for scenario in scenario::ALL {
        say!("  {:<34} {}", scenario.name, scenario.stores.join(", "));
        say!("      {}", scenario.title);
    }
    say!("stores (--store NAME):");
    for store in stores::all() {
        say!("  {:<16} {}", store.name(), store.servers().join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn store(name: &str) -> Result<std::sync::Arc<dyn dlock_sim::service::SimStore>, String> {
    stores::find(name).ok_or_else(|| format!("there is no store `{name}`; see `dlock-sim list`"))
}
