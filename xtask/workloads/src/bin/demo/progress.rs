//! A bar that lives on one line of a terminal; elsewhere a line for every tenth.

use std::io::{self, IsTerminal, Write};

use crate::TARGET;

const CELLS: u64 = 40;

pub struct Progress {
    terminal: bool,
    value: u64,
}

impl Progress {
    pub fn start() -> Self {
        let progress = Self {
            terminal: io::stdout().is_terminal(),
            value: 0,
        };
        progress.draw();
        progress
    }

    /// Reports of different workers may arrive in another order than they wrote.
    pub fn reach(&mut self, value: u64) {
        let value = value.max(self.value);
        let tenth = |value| value * 10 / TARGET;
        let one_more = tenth(value) > tenth(self.value);
        self.value = value;
        if self.terminal {
            self.draw();
        } else if one_more {
            println!("{:>5} of {TARGET}", self.value);
        }
    }

    /// Something to read above the bar.
    pub fn say(&self, line: &str) {
        self.clear();
        println!("{:>5}: {line}", self.value);
        self.draw();
    }

    fn draw(&self) {
        if self.terminal {
            let full = usize::try_from(self.value * CELLS / TARGET).unwrap_or(0);
            let (full, empty) = ("█".repeat(full), "░".repeat(CELLS as usize - full));
            print!("\r{full}{empty} {} of {TARGET}", self.value);
            let _ = io::stdout().flush();
        }
    }

    fn clear(&self) {
        if self.terminal {
            print!("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
        let _ = io::stdout().flush();
    }
}
