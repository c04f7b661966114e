//! The figures of all rounds: their medians, the worst, and how they compare with the floors.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::cases::{CASES, Case};

/// One line of a program: `FIGURE`, metric, value, unit, and `more` or `less`, whichever is better;
/// between tabs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    metric: String,
    value: f64,
    unit: String,
    more_is_better: bool,
}

impl Figure {
    pub(super) fn all_in(output: &str) -> Result<Vec<Self>> {
        let lines = output
            .lines()
            .filter_map(|line| line.strip_prefix("FIGURE\t"));
        let figures: Vec<_> = lines.map(Self::parse).collect::<Result<_>>()?;
        if figures.is_empty() {
            bail!("a program of the bench has reported nothing; it printed:\n{output}");
        }
        Ok(figures)
    }

    fn parse(line: &str) -> Result<Self> {
        let [metric, value, unit, better] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("not a figure: {line:?}");
        };
        let value: f64 = value
            .parse()
            .with_context(|| format!("the value in {line:?}"))?;
        if !value.is_finite() {
            bail!("not a number: {line:?}");
        }
        Ok(Self {
            metric: metric.to_owned(),
            value,
            unit: unit.to_owned(),
            more_is_better: better == "more",
        })
    }
}

/// All figures, in the order in which they came first.
#[derive(Default)]
pub(super) struct Report(Vec<Row>);

/// A metric of a subject in a case: one value for each round.
struct Row {
    case: &'static Case,
    subject: &'static str,
    metric: String,
    unit: String,
    more_is_better: bool,
    /// With the round's number.
    values: Vec<(usize, f64)>,
}

/// Values of several rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Summary {
    median: f64,
    worst: f64,
}

impl Report {
    pub(super) fn add(
        &mut self,
        case: &'static Case,
        subject: &'static str,
        round: usize,
        figures: Vec<Figure>,
    ) {
        for Figure {
            metric,
            value,
            unit,
            more_is_better,
        } in figures
        {
            let is_it = |row: &&mut Row| row.is_of(case, subject, &metric);
            match self.0.iter_mut().find(is_it) {
                Some(row) => row.values.push((round, value)),
                None => self.0.push(Row {
                    case,
                    subject,
                    metric,
                    unit,
                    more_is_better,
                    values: vec![(round, value)],
                }),
            }
        }
        // A case's subjects together, whoever was the first in the first round.
        let position = |row: &Row| CASES.iter().position(|known| std::ptr::eq(known, row.case));
        self.0.sort_by_key(position);
    }

    /// With the floor of this number; each round is compared with the same round of it.
    fn ratio(&self, row: &Row, floor: usize) -> Option<Summary> {
        let floor = *row.case.floors.get(floor)?;
        let mut rows = self.0.iter();
        let floor = rows.find(|other| other.is_of(row.case, floor, &row.metric))?;
        let ratio = |&(round, value): &(usize, f64)| {
            let (_, least) = floor.values.iter().find(|(other, _)| *other == round)?;
            (*least > 0.0).then(|| value / least)
        };
        Summary::of(
            row.values.iter().filter_map(ratio).collect(),
            row.more_is_better,
        )
    }

    pub(super) fn table(&self) -> String {
        let mut table = String::from(
            "| case | subject | metric | median | worst | × floor | worst | × fenced floor |\n|---|---|---|--:|--:|--:|--:|--:|\n",
        );
        for row in &self.0 {
            let Some(Summary { median, worst }) = row.summary() else {
                continue;
            };
            // A floor is compared with the floors before it.
            let floors = row.case.floors.iter();
            let number = floors.clone().position(|floor| *floor == row.subject);
            let before = number.unwrap_or(floors.len());
            let [ratio, fenced] =
                [0, 1].map(|floor| self.ratio(row, floor).filter(|_| floor < before));
            let unit = if row.unit.is_empty() {
                String::new()
            } else {
                format!(", {}", row.unit)
            };
            let _ = writeln!(
                table,
                "| {} | {} | {}{unit} | {} | {} | {} | {} | {} |",
                row.case.name,
                row.subject,
                row.metric,
                short(median),
                short(worst),
                ratio
                    .map(|ratio| format!("{:.2}", ratio.median))
                    .unwrap_or_default(),
                ratio
                    .map(|ratio| format!("{:.2}", ratio.worst))
                    .unwrap_or_default(),
                fenced
                    .map(|ratio| format!("{:.2}", ratio.median))
                    .unwrap_or_default(),
            );
        }
        table
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let folder = path.parent().context("a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let text = serde_json::to_string_pretty(&self.json())?;
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    fn json(&self) -> Value {
        let row = |row: &Row| {
            let Summary { median, worst } = row.summary()?;
            let (floor, fenced) = (self.ratio(row, 0), self.ratio(row, 1));
            Some(json!({
                "store": row.case.store.to_string(),
                "case": row.case.name,
                "subject": row.subject,
                "metric": row.metric,
                "value": median,
                "unit": row.unit,
                "ratio_to_floor": floor.map(|ratio| ratio.median),
                "worst": worst,
                "worst_ratio_to_floor": floor.map(|ratio| ratio.worst),
                "ratio_to_fenced_floor": fenced.map(|ratio| ratio.median),
                "rounds": row.values.iter().map(|(_, value)| value).collect::<Vec<_>>(),
            }))
        };
        self.0.iter().filter_map(row).collect()
    }
}

impl Row {
    fn is_of(&self, case: &Case, subject: &str, metric: &str) -> bool {
        std::ptr::eq(self.case, case) && self.subject == subject && self.metric == metric
    }

    fn summary(&self) -> Option<Summary> {
        let values = self.values.iter().map(|(_, value)| *value).collect();
        Summary::of(values, self.more_is_better)
    }
}

impl Summary {
    fn of(mut values: Vec<f64>, more_is_better: bool) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (values.first().copied()?, values.last().copied()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self {
            median,
            worst: if more_is_better { least } else { most },
        })
    }
}

/// Three digits, or all before the point.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

pub(super) fn today() -> Result<String> {
    let output = Command::new("date")
        .args(["-u", "+%F"])
        .output()
        .context("running date")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What was measured on.
pub(super) fn machine() -> Result<String> {
    let cpus = std::thread::available_parallelism()?;
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, name)| name);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Ok(format!("{cpus} CPUs ({model}), Linux {}", kernel.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn case(store: Store) -> &'static Case {
        let mut cases = CASES.iter().filter(|case| case.store == store);
        cases.find(|case| case.name == "sequential").unwrap()
    }

    fn throughput(value: f64) -> Vec<Figure> {
        Figure::all_in(&format!(
            "hello\nFIGURE\tthroughput\t{value}\tacquisitions/s\tmore\n"
        ))
        .unwrap()
    }

    #[test]
    fn each_round_is_compared_with_its_own_floor() {
        let mut report = Report::default();
        for (round, floor, ours) in [(1, 100.0, 90.0), (2, 50.0, 20.0), (3, 200.0, 100.0)] {
            report.add(case(Store::Redis), "floor", round, throughput(floor));
            report.add(case(Store::Redis), "dlock-redis", round, throughput(ours));
        }
        let json = report.json();
        assert_eq!(json[1]["subject"], "dlock-redis");
        assert_eq!(json[1]["value"], 90.0);
        assert_eq!(json[1]["worst"], 20.0);
        assert_eq!(json[1]["ratio_to_floor"], 0.5);
        assert_eq!(json[1]["worst_ratio_to_floor"], 0.4);
        assert_eq!(json[1]["ratio_to_fenced_floor"], Value::Null);
        assert_eq!(json[0]["ratio_to_floor"], 1.0);
        assert!(
            report.table().contains("| 90.0 | 20.0 | 0.50 | 0.40 |  |"),
            "{}",
            report.table()
        );
    }

    #[test]
    fn a_store_is_compared_with_its_own_floors() {
        let mut report = Report::default();
        let figures = [
            (Store::Etcd, "dlock-etcd", 9.0),
            (Store::Etcd, "etcd-floor", 10.0),
            (Store::Redis, "floor", 100.0),
            (Store::Redis, "fenced-floor", 80.0),
            (Store::Redis, "dlock-redis", 40.0),
        ];
        for (store, subject, value) in figures {
            report.add(case(store), subject, 1, throughput(value));
        }
        let table = report.table();
        let rows: Vec<_> = table.lines().skip(2).collect();
        let ends = [
            "| 100 | 100 |  |  |  |",
            "| 80.0 | 80.0 | 0.80 | 0.80 |  |",
            "| 40.0 | 40.0 | 0.40 | 0.40 | 0.50 |",
            "| 9.00 | 9.00 | 0.90 | 0.90 |  |",
            "| 10.0 | 10.0 |  |  |  |",
        ];
        assert_eq!(rows.len(), ends.len(), "{table}");
        for (row, end) in rows.iter().zip(ends) {
            assert!(row.ends_with(end), "{row} instead of {end}");
        }
        assert_eq!(report.json()[3]["store"], "etcd");
    }

    #[test]
    fn the_worst_is_the_most_where_less_is_better() {
        let values = vec![3.0, 1.0, 2.0, 10.0];
        assert_eq!(
            Summary::of(values.clone(), false),
            Some(Summary {
                median: 2.5,
                worst: 10.0
            })
        );
        assert_eq!(
            Summary::of(values, true),
            Some(Summary {
                median: 2.5,
                worst: 1.0
            })
        );
        assert_eq!(Summary::of(Vec::new(), true), None);
    }

    #[test]
    fn what_is_no_figure_is_an_error() {
        for output in [
            "",
            "hello",
            "FIGURE\tx",
            "FIGURE\tx\tmany\t\tmore",
            "FIGURE\tx\tinf\t\tless",
        ] {
            assert!(Figure::all_in(output).is_err(), "{output:?}");
        }
    }

    #[test]
    fn figures_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.8612, "0.86"),
            (12.34, "12.3"),
            (60123.4, "60123"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
