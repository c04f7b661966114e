//! The worker processes, as their parent has them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc::UnboundedSender;

use crate::place::Place;
use crate::protocol::{Order, Report};
use crate::{Result, worker};

/// What happens, to the parent.
pub enum Event {
    Said(u32, Report),
    /// Worker number so-and-so says nothing any more.
    Ended(u32),
    /// Somebody wants us to stop: the signal's name and number.
    Signal(&'static str, u8),
}

/// A process that lives no longer than this value.
pub struct Worker {
    child: Child,
    stdin: ChildStdin,
}

impl Worker {
    /// Starts this program once more, as a worker.
    pub fn start(number: u32, place: &Place, events: UnboundedSender<Event>) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([&place.store.to_string(), &place.url])
            .args([worker::ARGUMENT, &number.to_string(), &place.counter])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a worker without pipes".into());
        };
        std::thread::spawn(move || listen(number, stdout, &events));
        Ok(Self { child, stdin })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn order(&mut self, order: Order) -> Result<()> {
        Ok(writeln!(self.stdin, "{order}")?)
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// How it ended; called when it has.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Errors mean that it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(number: u32, stdout: ChildStdout, events: &UnboundedSender<Event>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if let Some(report) = Report::parse(&line) {
            let _ = events.send(Event::Said(number, report));
        }
    }
    let _ = events.send(Event::Ended(number));
}
