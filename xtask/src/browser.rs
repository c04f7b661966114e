//! The lane `browser`: the simulator's pages, opened in a headless Chromium.
//!
//! The tests are those of `dlock-sim/browser`. They run on a copy below the target folder, where npm may
//! put their packages: the source tree stays as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::browser_tools::{self, BrowserTools};
use crate::child;
use crate::lanes::Verdict;
use crate::python;
use crate::session::{Session, run_checks, run_tests};

/// Where npm puts packages.
const PACKAGES: &str = "node_modules";

pub(crate) fn test(session: &Session) -> Result<Verdict> {
    let named = browser_tools::named_browser()?;
    let tools = match BrowserTools::find(named) {
        Ok(tools) => tools,
        Err(reason) => return Ok(Verdict::skipped(format!("no browser: {reason:#}"))),
    };
    let folder = Folder(session.workspace.target.join("browser"));
    folder.prepare(&session.workspace.root.join("dlock-sim/browser"))?;
    if let Err(reason) = install_packages(&tools, &folder.tests()) {
        return Ok(Verdict::skipped(format!("no npm packages: {reason:#}")));
    }
    let trace_processor = python::trace_processor(&session.workspace);

    let played = run_checks(folder.simulations(session))?;
    if played.has_failed() {
        return Ok(played);
    }
    let mut tests = folder.node(&tools)?;
    // Of a Chromium that was interrupted nothing stays.
    let profiles = tempfile::tempdir()?;
    tests.env("TMPDIR", profiles.path());
    match &trace_processor {
        Ok(trace_processor) => tests.env("DLOCK_TEST_TRACE_PROCESSOR", trace_processor),
        Err(_) => tests.env_remove("DLOCK_TEST_TRACE_PROCESSOR"),
    };
    let verdict = run_tests(vec![tests])?;
    let pictures = format!("pictures of the pages: {}", folder.screenshots().display());
    let verdict = verdict.with_note(pictures);
    Ok(match trace_processor {
        Ok(_) => verdict,
        Err(reason) => verdict.with_note(format!("SKIP Perfetto's trace processor: {reason:#}")),
    })
}

/// What the lane leaves below the target folder.
struct Folder(PathBuf);

impl Folder {
    fn tests(&self) -> PathBuf {
        self.0.join("tests")
    }

    fn pages(&self) -> PathBuf {
        self.0.join("pages")
    }

    fn screenshots(&self) -> PathBuf {
        self.0.join("screenshots")
    }

    fn chrome_trace(&self) -> PathBuf {
        self.0.join("gc-pause.perfetto.json")
    }

    /// Copies the tests; of another run nothing stays but npm's packages.
    fn prepare(&self, source: &Path) -> Result<()> {
        for written in [self.pages(), self.screenshots()] {
            if written.exists() {
                fs::remove_dir_all(&written)
                    .with_context(|| format!("removing {}", written.display()))?;
            }
        }
        let tests = self.tests();
        fs::create_dir_all(&tests)?;
        for old in fs::read_dir(&tests)? {
            let old = old?;
            if old.file_name() == PACKAGES {
                continue;
            }
            if old.file_type()?.is_dir() {
                fs::remove_dir_all(old.path())?;
            } else {
                fs::remove_file(old.path())?;
            }
        }
        copy(source, &tests).with_context(|| format!("copying {}", source.display()))
    }

    fn simulations(&self, session: &Session) -> Vec<Command> {
        let dlock_sim = |words: &[&str], file: PathBuf| {
            let build = ["--package", "dlock-sim", "--all-features"];
            let mut command = session.cargo(&["run", "--bin", "dlock-sim"]);
            command.args(build).arg("--").args(words).arg(file);
            command
        };
        vec![
            dlock_sim(&["catalogue", "--out"], self.pages()),
            dlock_sim(&["run", "gc-pause", "--perfetto"], self.chrome_trace()),
        ]
    }

    /// `npm test`, by the Node that was found.
    fn node(&self, tools: &BrowserTools) -> Result<Command> {
        let mut files: Vec<_> = fs::read_dir(self.tests())?
            .flatten()
            .map(|entry| entry.file_name())
            .filter(|name| name.to_string_lossy().ends_with(".test.js"))
            .collect();
        files.sort();
        let mut node = Command::new(&tools.node);
        node.current_dir(self.tests())
            .args(["--test", "--test-reporter=spec", "--test-concurrency=2"])
            .args(files)
            .env("DLOCK_TEST_CHROMIUM", &tools.chromium)
            .env("DLOCK_TEST_PAGES", self.pages())
            .env("DLOCK_TEST_SCREENSHOTS", self.screenshots())
            .env("DLOCK_TEST_CHROME_TRACE", self.chrome_trace());
        Ok(node)
    }
}

/// Those of the lock file, unless they are there.
fn install_packages(tools: &BrowserTools, tests: &Path) -> Result<()> {
    let lock = fs::read(tests.join("package-lock.json")).context("reading package-lock.json")?;
    // npm begins with removing the folder, so that this tells of a whole one.
    let installed = tests.join(PACKAGES).join(".dlock-package-lock.json");
    if fs::read(&installed).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    println!("installing npm packages into {}", tests.display());
    let mut npm = Command::new(&tools.npm);
    npm.current_dir(tests)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .args(["--no-update-notifier", "--fetch-retries=1"]);
    child::quiet(npm)?;
    fs::write(installed, lock)?;
    Ok(())
}

/// Copies what a folder holds, without npm's packages.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, copied) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == PACKAGES {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&source, &copied)?;
        } else {
            fs::copy(&source, &copied)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_are_copied_anew_and_packages_stay() {
        let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |file: PathBuf| {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        };
        write(source.path().join("seen/texts.js"));
        write(source.path().join("node_modules/theirs"));
        let folder = Folder(target.path().join("browser"));
        write(folder.tests().join("seen/gone.js"));
        write(folder.tests().join("gone.test.js"));
        write(folder.tests().join("node_modules/ours"));
        write(folder.pages().join("gone.html"));

        folder.prepare(source.path()).unwrap();
        let is_there = |file| folder.tests().join(file).exists();
        assert!(is_there("seen/texts.js") && is_there("node_modules/ours"));
        for gone in ["seen/gone.js", "gone.test.js", "node_modules/theirs"] {
            assert!(!is_there(gone), "{gone}");
        }
        assert!(!folder.pages().exists());
    }
}
