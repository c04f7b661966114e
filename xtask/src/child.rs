//! Runs a child process to its end: every command that xtask starts and waits for.

use std::io::{self, BufRead, BufReader, IsTerminal, PipeReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::interrupt::{self, Foreground};
use crate::tally::Tally;

/// How long the output of an ended child may stay open before it is given up.
const OUTPUT_GRACE: Duration = Duration::from_secs(5);

/// Runs it with our terminal.
pub(crate) fn on_terminal(mut command: Command) -> Result<ExitStatus> {
    interrupt::check()?;
    announce(&command);
    let child = spawn(&mut command)?;
    finish(child, Interrupt::PassedOn)
}

/// Ours, where a child's is handed on.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}

/// Runs it, shows its output line by line as it comes, and counts the tests in it.
pub(crate) fn counted(mut command: Command) -> Result<(ExitStatus, Tally)> {
    interrupt::check()?;
    announce(&command);
    if io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    count(command, |line| {
        let mut stdout = io::stdout().lock();
        // Nobody may be reading any more; the tests still count.
        let _ = stdout.write_all(line);
        let _ = stdout.flush();
    })
}

fn count(
    command: Command,
    mut show: impl FnMut(&[u8]) + Send + 'static,
) -> Result<(ExitStatus, Tally)> {
    let (child, reader) = spawn_piped(command)?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        read_lines(reader, |line| {
            show(line);
            let _ = sender.send(String::from_utf8_lossy(line).into_owned());
        });
    });
    let status = finish(child, Interrupt::PassedOn)?;
    let mut tally = Tally::default();
    for_each_until_closed(&lines, |line| tally.read_line(&line));
    Ok((status, tally))
}

/// Runs it silently; where it fails, what it printed is the error.
pub(crate) fn quiet(command: Command) -> Result<()> {
    silent(command, Interrupt::PassedOn).map(drop)
}

/// Like [`quiet`], for what it prints.
pub(crate) fn read(command: Command) -> Result<String> {
    silent(command, Interrupt::PassedOn)
}

/// Like [`quiet`] for what must not be broken off in the middle, such as a package installation.
pub(crate) fn quiet_uninterrupted(command: Command) -> Result<()> {
    silent(command, Interrupt::Deferred).map(drop)
}

enum Interrupt {
    PassedOn,
    Deferred,
}

fn silent(command: Command, interrupt: Interrupt) -> Result<String> {
    let name = display(&command);
    if matches!(interrupt, Interrupt::PassedOn) {
        interrupt::check()?;
    }
    let (child, reader) = spawn_piped(command)?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        read_lines(reader, |line| {
            let _ = sender.send(String::from_utf8_lossy(line).into_owned());
        });
    });
    let status = finish(child, interrupt)?;
    let mut output = String::new();
    for_each_until_closed(&lines, |line| output.push_str(&line));
    if !status.success() {
        bail!("`{name}` failed ({status}): {}", last_lines(&output, 15));
    }
    Ok(output)
}

fn spawn_piped(mut command: Command) -> Result<(Child, PipeReader)> {
    // One pipe for both streams keeps their order.
    let (reader, writer) = io::pipe().context("opening a pipe")?;
    command.stdin(Stdio::null());
    command.stdout(writer.try_clone()?).stderr(writer);
    // `command` holds our ends for writing; they close here.
    Ok((spawn(&mut command)?, reader))
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.process_group(0);
    command
        .spawn()
        .with_context(|| format!("starting `{}`: is it installed?", display(command)))
}

/// Waits for a child and then ends whatever it left running in its process group.
fn finish(mut child: Child, interrupt: Interrupt) -> Result<ExitStatus> {
    let group = Pid::from_child(&child);
    let foreground = matches!(interrupt, Interrupt::PassedOn).then(|| Foreground::enter(group));
    // Not reaped yet, the ended child keeps its number, so that nobody else's group is meant below.
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while let Err(Errno::INTR) = waitid(WaitId::Pid(group), ended) {}
    let _ = kill_process_group(group, Signal::KILL);
    drop(foreground);
    let status = child.wait().context("waiting for a child process")?;
    if matches!(interrupt, Interrupt::PassedOn) {
        interrupt::check()?;
    }
    Ok(status)
}

fn read_lines(reader: PipeReader, mut show: impl FnMut(&[u8])) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        show(&line);
        line.clear();
    }
}

/// A process that escaped the group may hold the output open: it must not hold us up as well.
fn for_each_until_closed(lines: &mpsc::Receiver<String>, mut each: impl FnMut(String)) {
    loop {
        match lines.recv_timeout(OUTPUT_GRACE) {
            Ok(line) => each(line),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                eprintln!("xtask: a process left behind by this command still holds its output");
                return;
            }
        }
    }
}

pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// What to type to run the same by hand.
fn announce(command: &Command) {
    let variables = command.get_envs().filter_map(|(key, value)| {
        let value = value?.to_string_lossy();
        let quote = if value.contains(' ') { "'" } else { "" };
        Some(format!("{}={quote}{value}{quote} ", key.to_string_lossy()))
    });
    println!("$ {}{}", variables.collect::<String>(), display(command));
}

fn display(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn tests_are_counted_from_both_streams() {
        let script = "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'
            echo '     Summary [ 0.1s] 3 tests run: 3 passed, 1 skipped' >&2; exit 4";
        let (status, tally) = count(shell(script), |_| ()).unwrap();
        assert_eq!(status.code(), Some(4));
        assert_eq!((tally.passed, tally.skipped), (5, 1));
    }

    #[test]
    fn what_a_failing_command_printed_is_the_error() {
        let error = quiet(shell("echo the reason >&2; exit 3")).unwrap_err();
        assert!(error.to_string().contains("the reason"), "{error}");
        quiet(shell("exit 0")).unwrap();
    }

    #[test]
    fn what_a_child_leaves_running_is_ended_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("held");
        quiet(shell(&format!("mkfifo {}", fifo.display()))).unwrap();
        // The child's child holds the pipe open for writing; reading ends when it is dead.
        let script = format!("exec 3>{}; sleep 600 &", fifo.display());
        let reader = thread::spawn(move || std::fs::read(fifo));
        quiet(shell(&script)).unwrap();
        assert!(reader.join().unwrap().unwrap().is_empty());
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = quiet(Command::new("dlock-no-such-program")).unwrap_err();
        assert!(error.to_string().contains("dlock-no-such-program"));
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }
}
