//! `cargo xtask bench`: what a lock costs, beside the least that it can cost.
//!
//! The program is the binary `bench` of `dlock-workloads`. For each store, the floors and ours take
//! turns on one server of our own, in rounds, so that whatever slows the machine meanwhile slows both.

mod cases;
mod program;
mod report;

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::child;
use crate::etcd_binaries::Etcd;
use crate::install;
use crate::store::Store;
use crate::store_server::StoreServer;
use crate::workspace::Workspace;
use cases::Case;
use report::{Figure, Report};

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    /// All of them, if not this one.
    pub(crate) store: Option<Store>,
    /// Empty: all of them.
    pub(crate) cases: Vec<String>,
}

impl Options {
    /// All there is, as well as it can be measured.
    fn is_full(&self) -> bool {
        !self.quick && self.store.is_none() && self.cases.is_empty()
    }

    /// What was measured in part says nothing about the rest.
    fn report(&self) -> &'static str {
        if self.is_full() {
            "bench/report.json"
        } else {
            "bench/report-partial.json"
        }
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let chosen = cases::chosen(&options.cases, options.store)?;
    let program = program::build(workspace)?;
    let mut report = Report::default();
    let mut versions = Vec::new();
    for store in Store::ALL {
        let cases: Vec<_> = chosen.iter().filter(|case| case.store == store).collect();
        if cases.is_empty() {
            continue;
        }
        // Stopped before the next one starts.
        let server = start(store)?;
        println!("on {} at {}", server.version(), server.url());
        versions.push(server.version().to_owned());
        let rounds = cases.iter().map(|case| case.rounds(options.quick)).max();
        for round in 1..=rounds.unwrap_or(0) {
            for case in &cases {
                if round <= case.rounds(options.quick) {
                    take_turns(
                        case,
                        round,
                        &program,
                        &server.url(),
                        options.quick,
                        &mut report,
                    )?;
                }
            }
        }
    }
    println!("\n{}", report.table());
    println!("{} on {}", report::today()?, report::machine()?);
    println!(
        "{}, each a server of our own, over loopback TCP",
        versions.join(" and ")
    );
    if options.quick {
        println!("quick: a few dozen turns for each figure, so take none of them too seriously");
    }
    let path = workspace.target.join(options.report());
    report.write(&path)?;
    println!("also in {}", path.display());
    Ok(ExitCode::SUCCESS)
}

fn start(store: Store) -> Result<StoreServer> {
    let binary = match store {
        Store::Redis => install::redis_server()?,
        Store::Etcd => Etcd::find()?.server,
    };
    StoreServer::start(store, &binary)
}

fn take_turns(
    case: &'static Case,
    round: usize,
    program: &Path,
    url: &str,
    quick: bool,
    report: &mut Report,
) -> Result<()> {
    let rounds = case.rounds(quick);
    println!("round {round} of {rounds}: {} on {}", case.name, case.store);
    for subject in case.subjects(round) {
        let mut command = Command::new(program);
        command.args(case.words(subject, url, quick));
        let output = child::read(command).with_context(|| format!("{}, {subject}", case.name))?;
        report.add(case, subject, round, Figure::all_in(&output)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_run_replaces_the_report_of_one() {
        let full = Options::default();
        assert_eq!(full.report(), "bench/report.json");
        let quick = Options {
            quick: true,
            ..Options::default()
        };
        let one_store = Options {
            store: Some(Store::Redis),
            ..Options::default()
        };
        let one_case = Options {
            cases: vec!["stampede".to_owned()],
            ..Options::default()
        };
        for partial in [quick, one_store, one_case] {
            assert_ne!(partial.report(), full.report(), "{partial:?}");
        }
    }
}
