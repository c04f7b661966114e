//! The simulator on the command line.
//!
//! Ends with 0 (valid), 1 (invalid), 2 (unknown), or 64 when it was asked for something that makes no sense.

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
    /// Plays a scenario, unfenced and fenced, and says whether it went as it should.
    Run {
        /// The scenario; see `list`.
        name: String,
        /// The seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The store; the scenario's usual one if not given.
        #[arg(long)]
        store: Option<String>,
        /// Only this way.
        #[arg(long)]
        fencing: Option<Fencing>,
        /// Writes the trace (of the last way played) here.
        #[arg(long)]
        trace: Option<PathBuf>,
    },
    /// Plays many schedules with random faults and checks what the store promises.
    Explore(explore::Exploration),
    /// Plays a plan again.
    Replay {
        /// The `plan.json` of a failure.
        plan: PathBuf,
        /// For a plan of a scenario: this way.
        #[arg(long, default_value = "unfenced")]
        fencing: Fencing,
        /// Writes the trace here.
        #[arg(long)]
        trace: Option<PathBuf>,
    },
    /// Checks a trace, of the simulator or of real servers.
    Check {
        /// The `trace.jsonl`.
        trace: PathBuf,
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
enum Fencing {
    Unfenced,
    Fenced,
}

impl From<Fencing> for scenario::Fencing {
    fn from(fencing: Fencing) -> Self {
        match fencing {
            Fencing::Unfenced => Self::Unfenced,
            Fencing::Fenced => Self::Fenced,
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
            fencing,
            trace,
        } => play::run(&name, seed, store.as_deref(), fencing, trace.as_deref()),
        Command::Explore(exploration) => exploration.run(),
        Command::Replay {
            plan,
            fencing,
            trace,
        } => play::replay(&plan, fencing, trace.as_deref()),
        Command::Check { trace } => play::check(&trace),
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
    println!("scenarios (dlock-sim run NAME):");
    for scenario in scenario::ALL {
        println!("  {:<34} {}", scenario.name, scenario.stores.join(", "));
        println!("      {}", scenario.title);
    }
    println!("stores (--store NAME):");
    for store in stores::all() {
        println!("  {:<16} {}", store.name(), store.servers().join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn store(name: &str) -> Result<std::sync::Arc<dyn dlock_sim::service::SimStore>, String> {
    stores::find(name).ok_or_else(|| format!("there is no store `{name}`; see `dlock-sim list`"))
}
