//! `cargo xtask bench`: what a lock costs, beside the least that it can cost.
//!
//! Every subject is an example program of a backend. The floors and ours take turns on one server
//! of our own, in rounds, so that whatever slows the machine meanwhile slows both.

mod report;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::child;
use crate::install;
use crate::redis_server::RedisServer;
use crate::workspace::Workspace;
use report::{Figure, Report};

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    /// Empty: all of them.
    pub(crate) cases: Vec<String>,
}

struct Case {
    name: &'static str,
    /// The least to compare with, run in turns with dlock; each is a subject of `bench_floor`.
    floors: &'static [&'static str],
    time: Duration,
    quick_time: Duration,
    /// Too long for more than one round of a quick bench.
    is_long: bool,
}

const FLOOR: &str = "floor";
const FENCED_FLOOR: &str = "fenced-floor";
const OURS: &str = "dlock-redis";
const ROUNDS: usize = 5;

const CASES: [Case; 8] = [
    Case::short("sequential", &[FLOOR, FENCED_FLOOR]),
    Case::short("parallel-64", &[FLOOR, FENCED_FLOOR]),
    Case::short("contended-16", &[FLOOR]),
    Case::short("contended-processes", &[FLOOR]),
    Case::short("ping-pong-2", &[FLOOR]),
    Case::long("idle-waiters", 10),
    Case::long("stampede", 1),
    Case::long("held-10000", 30),
];

impl Case {
    const fn short(name: &'static str, floors: &'static [&'static str]) -> Self {
        Self {
            name,
            floors,
            time: Duration::from_secs(2),
            quick_time: Duration::from_millis(300),
            is_long: false,
        }
    }

    const fn long(name: &'static str, seconds: u64) -> Self {
        Self {
            name,
            floors: &[],
            time: Duration::from_secs(seconds),
            quick_time: Duration::from_secs(if seconds < 3 { seconds } else { 3 }),
            is_long: true,
        }
    }

    fn rounds(&self, quick: bool) -> usize {
        if self.is_long && quick { 1 } else { ROUNDS }
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let cases = chosen(&options.cases)?;
    let programs = Programs::build(workspace)?;
    let server = RedisServer::start(&install::redis_server()?)?;
    let mut report = Report::default();
    for round in 1..=ROUNDS {
        for case in cases
            .iter()
            .filter(|case| round <= case.rounds(options.quick))
        {
            println!(
                "round {round} of {}: {}",
                case.rounds(options.quick),
                case.name
            );
            let mut subjects = vec![OURS];
            subjects.extend(case.floors);
            // Nobody is always the first.
            subjects.rotate_left(round % case.floors.len().max(1));
            for subject in subjects {
                let command = programs.command(case, subject, &server.url(), options.quick);
                let output =
                    child::read(command).with_context(|| format!("{}, {subject}", case.name))?;
                report.add(case.name, subject, round, Figure::all_in(&output)?);
            }
        }
    }
    println!("\n{}", report.table());
    println!("{} on {}", report::today()?, report::machine()?);
    println!(
        "{}, a server of our own, over loopback TCP",
        server.version()
    );
    if options.quick {
        println!("quick: a few dozen turns for each figure, so take none of them too seriously");
    }
    let path = workspace.target.join("bench/report.json");
    report.write(&path)?;
    println!("also in {}", path.display());
    Ok(ExitCode::SUCCESS)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Case>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| CASES.iter().all(|case| case.name != *name))
    {
        let known = CASES.map(|case| case.name).join(", ");
        bail!("there is no case `{unknown}`; there are {known}");
    }
    let is_chosen = |case: &&Case| names.is_empty() || names.iter().any(|name| name == case.name);
    Ok(CASES.iter().filter(is_chosen).collect())
}

struct Programs {
    floor: PathBuf,
    ours: PathBuf,
}

impl Programs {
    fn build(workspace: &Workspace) -> Result<Self> {
        let mut build = workspace.cargo();
        build.args(["build", "--release", "--package", "dlock-redis"]);
        build.args(["--example", "bench_floor", "--example", "bench_dlock"]);
        build.arg("--message-format=json-render-diagnostics");
        println!("building the bench: minutes the first time");
        build.stderr(Stdio::inherit());
        let output = build.output().context("running cargo build")?;
        if !output.status.success() {
            bail!("the bench does not build");
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let program =
            |name| executable(&messages, name).with_context(|| format!("cargo built no {name}"));
        Ok(Self {
            floor: program("bench_floor")?,
            ours: program("bench_dlock")?,
        })
    }

    fn command(&self, case: &Case, subject: &str, url: &str, quick: bool) -> Command {
        let program: &Path = if subject == OURS {
            &self.ours
        } else {
            &self.floor
        };
        let time = if quick { case.quick_time } else { case.time };
        let mut command = Command::new(program);
        command.args([case.name, "--url", url, "--subject", subject]);
        command.args(["--seconds", &time.as_secs_f64().to_string()]);
        command
    }
}

/// Where cargo says it has put this program.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == name;
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_case_is_named_with_those_there_are() {
        let error = chosen(&["stampde".to_owned()]).err().unwrap().to_string();
        assert!(
            error.contains("`stampde`") && error.contains("stampede"),
            "{error}"
        );
        assert_eq!(chosen(&[]).unwrap().len(), CASES.len());
        assert_eq!(chosen(&["stampede".to_owned()]).unwrap().len(), 1);
    }

    #[test]
    fn the_program_is_where_cargo_says() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/no"}
{"reason":"compiler-artifact","target":{"name":"bench_floor"},"executable":"/yes"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "bench_floor"),
            Some(PathBuf::from("/yes"))
        );
        assert_eq!(executable(messages, "bench_dlock"), None);
    }
}
