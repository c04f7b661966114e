//! Runs named lanes one after the other, each with a heading and its time, and sums them up.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::arguments::Selection;
use crate::interrupt;
use crate::session::Session;
use crate::tally::Tally;
use crate::test_servers::Server;

type Work = Box<dyn Fn(&Session) -> Result<Verdict>>;

pub(crate) struct Lane {
    name: String,
    about: &'static str,
    needs: &'static [Server],
    work: Work,
}

impl Lane {
    pub(crate) fn new(
        name: impl Into<String>,
        about: &'static str,
        work: impl Fn(&Session) -> Result<Verdict> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            about,
            needs: &[],
            work: Box::new(work),
        }
    }

    /// Servers without which no lane of the run is begun.
    pub(crate) fn needing(mut self, servers: &'static [Server]) -> Self {
        self.needs = servers;
        self
    }
}

/// How a lane ended.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) tally: Tally,
    result: LaneResult,
    notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LaneResult {
    #[default]
    Passed,
    Failed,
    Skipped,
}

impl Verdict {
    /// A check that passed counts as one test.
    pub(crate) fn checked() -> Self {
        let mut verdict = Self::default();
        verdict.tally.passed = 1;
        verdict
    }

    pub(crate) fn skipped(reason: impl Into<String>) -> Self {
        let mut verdict = Self::default();
        verdict.tally.skipped = 1;
        verdict.result = LaneResult::Skipped;
        verdict.with_note(format!("SKIP {}", reason.into()))
    }

    pub(crate) fn failed(mut self, reason: String) -> Self {
        self.result = LaneResult::Failed;
        // A lane may fail without a failing test, by not compiling for one.
        self.tally.failed = self.tally.failed.max(1);
        self.with_note(reason)
    }

    pub(crate) fn with_note(mut self, note: String) -> Self {
        self.notes.push(note);
        self
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.result == LaneResult::Failed
    }

    fn word(&self) -> &'static str {
        match self.result {
            LaneResult::Passed => "passed",
            LaneResult::Failed => "FAILED",
            LaneResult::Skipped => "skipped",
        }
    }
}

pub(crate) fn run(all: Vec<Lane>, session: &Session, selection: &Selection) -> Result<ExitCode> {
    if selection.list {
        for lane in &all {
            println!("{:<width$}  {}", lane.name, lane.about, width = width(&all));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let lanes = choose(all, &selection.lanes)?;
    for server in lanes.iter().flat_map(|lane| lane.needs) {
        session.set_up(*server)?;
    }
    let mut done = Vec::new();
    for lane in &lanes {
        println!("\n=== {}: {}", lane.name, lane.about);
        let start = Instant::now();
        let verdict = (lane.work)(session)
            .unwrap_or_else(|error| Verdict::default().failed(format!("{error:#}")));
        interrupt::check()?;
        let time = start.elapsed();
        for note in &verdict.notes {
            println!("{note}");
        }
        println!("=== {}: {} in {}", lane.name, verdict.word(), seconds(time));
        let stop = selection.fail_fast && verdict.result == LaneResult::Failed;
        done.push((lane, verdict, time));
        if stop {
            break;
        }
    }
    Ok(summary(&done, width(&lanes)))
}

fn choose(all: Vec<Lane>, names: &[String]) -> Result<Vec<Lane>> {
    if let Some(unknown) = names
        .iter()
        .find(|&n| all.iter().all(|lane| lane.name != *n))
    {
        let known: Vec<&str> = all.iter().map(|lane| lane.name.as_str()).collect();
        bail!(
            "there is no lane `{unknown}`; the lanes are {}",
            known.join(", ")
        );
    }
    let chosen = |lane: &Lane| names.is_empty() || names.contains(&lane.name);
    Ok(all.into_iter().filter(chosen).collect())
}

fn summary(done: &[(&Lane, Verdict, Duration)], width: usize) -> ExitCode {
    println!();
    let mut total = Tally::default();
    let mut code = ExitCode::SUCCESS;
    for (lane, verdict, time) in done {
        println!(
            "{:<width$}  {:<7}  {:>8}  {}",
            lane.name,
            verdict.word(),
            seconds(*time),
            verdict.tally
        );
        for note in &verdict.notes {
            println!("{:width$}  {}", "", note.lines().next().unwrap_or_default());
        }
        total += verdict.tally;
        if verdict.result == LaneResult::Failed {
            code = ExitCode::FAILURE;
        }
    }
    println!("\n{total}");
    code
}

fn width(lanes: &[Lane]) -> usize {
    lanes.iter().map(|lane| lane.name.len()).max().unwrap_or(0)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes() -> Vec<Lane> {
        let lane = |name: &str| Lane::new(name, "", |_| Ok(Verdict::checked()));
        vec![lane("one"), lane("two"), lane("three")]
    }

    fn chosen(names: &[&str]) -> Result<Vec<String>> {
        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
        let lanes = choose(lanes(), &names)?;
        Ok(lanes.into_iter().map(|lane| lane.name).collect())
    }

    #[test]
    fn no_names_choose_every_lane_in_order() {
        assert_eq!(chosen(&[]).unwrap(), ["one", "two", "three"]);
    }

    #[test]
    fn names_choose_their_lanes_in_the_lanes_order() {
        assert_eq!(chosen(&["three", "one", "one"]).unwrap(), ["one", "three"]);
    }

    #[test]
    fn an_unknown_lane_is_an_error_that_lists_the_known() {
        let error = chosen(&["one", "four"]).unwrap_err().to_string();
        assert!(error.contains("`four`") && error.contains("one, two, three"));
    }

    #[test]
    fn a_failed_lane_counts_at_least_one_failure() {
        let verdict = Verdict::default().failed("it did not compile".into());
        assert_eq!(verdict.tally.failed, 1);
        let mut verdict = Verdict::default();
        verdict.tally.failed = 3;
        assert_eq!(verdict.failed("exit 100".into()).tally.failed, 3);
    }
}
