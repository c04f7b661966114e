use std::fmt;
use std::path::{Path, PathBuf};

use super::{Broken, Played};
use crate::checker::{Property, Report};
use crate::faults::{Fault, Plan};
use crate::report::{Panel, Sheet};
use crate::trace::Trace;

/// A schedule under which something is broken.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What the runs were called.
    pub title: String,
    /// The seed that failed.
    pub seed: u64,
    /// How many schedules held before it.
    pub held_before: u64,
    /// What is broken, in the shrunk schedule.
    pub broken: Vec<Broken>,
    /// The shrunk plan.
    pub plan: Plan,
    /// How many faults the plan had before it was shrunk.
    pub faults_before: usize,
    /// Where plan and trace were written; none if that failed.
    pub files: Option<Files>,
    /// The command that plays it again; none when nothing was played, because what was asked for makes no sense.
    pub replay: Option<String>,
}

/// What a failure leaves on the disk.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Files {
    /// `plan.json`
    pub plan: PathBuf,
    /// `trace.jsonl`
    pub trace: PathBuf,
    /// `report.txt`
    pub report: PathBuf,
    /// `report.html`: a picture of it.
    pub page: PathBuf,
}

/// Writes the plan, the trace and the report into a folder.
pub(crate) fn write(
    folder: &Path,
    plan: &Plan,
    played: Played,
    report: &Report,
    broken: Option<Property>,
    replay: &str,
) -> std::io::Result<Files> {
    std::fs::create_dir_all(folder)?;
    let files = Files {
        plan: folder.join("plan.json"),
        trace: folder.join("trace.jsonl"),
        report: folder.join("report.txt"),
        page: folder.join("report.html"),
    };
    let mut text = serde_json::to_vec_pretty(plan)?;
    text.push(b'\n');
    std::fs::write(&files.plan, text)?;
    let Played { header, events, .. } = played;
    let trace = Trace { header, events };
    trace.save(&files.trace).map_err(std::io::Error::other)?;
    std::fs::write(&files.report, report.to_string())?;
    let sheet = Sheet {
        name: &plan.workload,
        title: "The shrunk schedule under which something is broken",
        store: &plan.store,
        seed: Some(plan.seed),
        replay: Some(replay.to_owned()),
        lesson: None,
        among_others: false,
        panels: vec![match broken {
            Some(property) => Panel::of(&trace, report).about(property),
            None => Panel::of(&trace, report),
        }],
    };
    std::fs::write(&files.page, sheet.html())?;
    Ok(files)
}

/// Where failures are written.
pub(crate) fn folder(title: &str, seed: u64) -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = named.or_else(built_into).unwrap_or_else(|| "target".into());
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let title: String = title.chars().map(safe).collect();
    target
        .join("dlock-sim")
        .join(title)
        .join(format!("seed-{seed}"))
}

/// The folder into which cargo has built this test: it bears cargo's mark.
fn built_into() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let target = test
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").exists())?;
    Some(target.to_owned())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.replay.is_none() {
            let problems: Vec<&str> = self.broken.iter().map(|one| &one.message[..]).collect();
            return write!(
                f,
                "`{}` was not played: {}",
                self.title,
                problems.join("; ")
            );
        }
        writeln!(
            f,
            "`{}` fails under seed {} ({} schedules held before it)",
            self.title, self.seed, self.held_before
        )?;
        for broken in self.broken.iter().take(5) {
            match broken.property {
                Some(property) => {
                    writeln!(f, "  {property}, {}: {}", property.title(), broken.message)?;
                }
                None => writeln!(f, "  {}", broken.message)?,
            }
        }
        if let Some(more) = self.broken.len().checked_sub(6) {
            writeln!(f, "  … and {} more", more + 1)?;
        }
        let (now, before) = (self.plan.faults.len(), self.faults_before);
        let clients = self.plan.clients;
        writeln!(
            f,
            "the schedule: {clients} clients on {}, {now} fault(s) of {before} before shrinking",
            self.plan.store
        )?;
        for fault in &self.plan.faults {
            writeln!(f, "  {}", Told(fault))?;
        }
        if let Some(files) = &self.files {
            writeln!(f, "plan:   {}", files.plan.display())?;
            writeln!(f, "trace:  {}", files.trace.display())?;
            writeln!(f, "report: {}", files.report.display())?;
            writeln!(f, "page:   {}", files.page.display())?;
        }
        match &self.replay {
            Some(replay) => write!(f, "replay: {replay}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// A fault in words.
struct Told<'a>(&'a Fault);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault {
            at_ms,
            for_ms,
            kind,
        } = self.0;
        write!(f, "at {:.3} s", *at_ms as f64 / 1000.0)?;
        if !kind.is_instant() {
            write!(f, " for {:.3} s", *for_ms as f64 / 1000.0)?;
        }
        write!(f, ": ")?;
        // The plan's own words: they are what a reader finds in plan.json.
        let Ok(serde_json::Value::Object(words)) = serde_json::to_value(kind) else {
            return Ok(());
        };
        let name = words.get("fault").and_then(|name| name.as_str());
        write!(f, "{}", name.unwrap_or("fault"))?;
        for (key, value) in words.iter().filter(|(key, _)| *key != "fault") {
            match value.as_str() {
                Some(text) => write!(f, " {key}={text}")?,
                None => write!(f, " {key}={value}")?,
            }
        }
        Ok(())
    }
}
