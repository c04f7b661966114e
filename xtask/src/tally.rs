//! Counts tests from what nextest, libtest and Node's test runner print.

use std::fmt;
use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// Adds what a line of output says about tests, which for most lines is nothing.
    ///
    /// nextest repeats a failed test's output indented: only the exact column counts.
    pub(crate) fn read_line(&mut self, line: &str) {
        let line = without_colour(line);
        let line = line.trim_end();
        if let Some(counts) = line.strip_prefix("test result: ") {
            // `ok. 5 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.1s`
            let counts = counts.split_once(". ").map_or("", |(_, counts)| counts);
            self.read_counts(counts.split("; "));
        } else if line.starts_with("     Summary [")
            && let Some((_, counts)) = line.split_once(" run: ")
        {
            // `Summary [ 0.5s] 9 tests run: 7 passed (1 slow, 1 flaky), 2 failed, 4 skipped`
            self.read_counts(without_parentheses(counts).split(','));
        } else if let Some((kind, number)) = line.strip_prefix("ℹ ").and_then(|l| l.split_once(' '))
        {
            // `ℹ pass 7`, a line for each kind
            self.read_count(number, kind);
        }
    }

    fn read_counts<'a>(&mut self, counts: impl Iterator<Item = &'a str>) {
        for count in counts {
            if let Some((number, kind)) = count.trim().split_once(' ') {
                self.read_count(number, kind.trim());
            }
        }
    }

    fn read_count(&mut self, number: &str, kind: &str) {
        let Ok(number) = number.parse::<u64>() else {
            return;
        };
        match kind {
            "passed" | "pass" => self.passed += number,
            "failed" | "fail" | "timed out" | "exec failed" | "cancelled" => self.failed += number,
            "skipped" | "ignored" => self.skipped += number,
            _ => {}
        }
    }

    pub(crate) fn ran(&self) -> u64 {
        self.passed + self.failed
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// Without the `ESC [ ... m` sequences that colour a terminal.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut parts = line.split('\u{1b}');
    plain.extend(parts.next());
    for part in parts {
        plain.push_str(part.split_once('m').map_or("", |(_, text)| text));
    }
    plain
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|&c| {
            depth += u32::from(c == '(');
            let keep = depth == 0;
            depth = depth.saturating_sub(u32::from(c == ')'));
            keep
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str]) -> (u64, u64, u64) {
        let mut tally = Tally::default();
        for line in lines {
            tally.read_line(line);
        }
        (tally.passed, tally.failed, tally.skipped)
    }

    #[test]
    fn the_results_of_several_libtest_binaries_are_summed_up() {
        let lines = [
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.10s",
            "test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ];
        assert_eq!(tally(&lines), (7, 4, 1));
    }

    #[test]
    fn nextest_counts_what_timed_out_as_failed() {
        let line = "     Summary [   1.503s] 9/12 tests run: 6 passed (1 slow, 2 flaky), 1 failed, 1 timed out, 1 exec failed, 4 skipped";
        assert_eq!(tally(&[line]), (6, 3, 4));
    }

    #[test]
    fn one_test_is_a_summary_too() {
        assert_eq!(
            tally(&["     Summary [   0.003s] 1 test run: 1 passed, 0 skipped"]),
            (1, 0, 0)
        );
    }

    #[test]
    fn node_has_a_line_for_each_kind() {
        let lines = [
            "✔ a page (7.4ms)",
            "ℹ tests 10",
            "ℹ suites 0",
            "ℹ pass 6",
            "ℹ fail 1",
            "ℹ cancelled 1",
            "ℹ skipped 2",
            "ℹ todo 0",
            "ℹ duration_ms 24821.147101",
        ];
        assert_eq!(tally(&lines), (6, 2, 2));
    }

    #[test]
    fn colours_do_not_hide_a_summary() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.003s] \u{1b}[1m3\u{1b}[0m tests run: \u{1b}[1m3\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m \u{1b}[33;1mskipped\u{1b}[0m";
        assert_eq!(tally(&[line]), (3, 0, 0));
    }

    #[test]
    fn a_test_that_prints_about_passing_is_not_counted() {
        assert_eq!(
            tally(&[
                "7 passed",
                "running 3 tests",
                "test a ... ok",
                "pass 7",
                "ℹ pass"
            ]),
            (0, 0, 0)
        );
        let repeated = [
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured",
            "         Summary [   0.003s] 1 test run: 1 passed, 0 skipped",
        ];
        assert_eq!(tally(&repeated), (0, 0, 0));
    }

    #[test]
    fn skipped_is_only_shown_where_there_are_any() {
        let mut tally = Tally {
            passed: 3,
            ..Tally::default()
        };
        assert_eq!(tally.to_string(), "3 passed, 0 failed");
        tally.skipped = 1;
        assert_eq!(tally.to_string(), "3 passed, 0 failed, 1 skipped");
    }
}
