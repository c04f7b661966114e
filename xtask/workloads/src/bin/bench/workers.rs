use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use dlock_workloads::Result;

use crate::arguments::Arguments;
use crate::turns::Turn;

/// Copies of this program, each a process that says `READY`, waits for a line, and then works.
pub struct Workers(Vec<Worker>);

struct Worker {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Workers {
    pub fn start(arguments: &Arguments, count: u64, options: &[(&str, String)]) -> Result<Self> {
        let workers = (0..count).map(|number| Worker::start(arguments, number, options));
        let mut all = Self(workers.collect::<Result<_>>()?);
        for worker in &mut all.0 {
            let mut line = String::new();
            worker.stdout.read_line(&mut line)?;
            if line.trim() != "READY" {
                return Err(format!("a worker said {line:?}").into());
            }
        }
        Ok(all)
    }

    /// Lets them work.
    pub fn go(&mut self) -> Result<()> {
        for worker in &mut self.0 {
            worker.stdin.write_all(b"GO\n")?;
        }
        Ok(())
    }

    /// Waits for their end and reads the turns they have had.
    pub fn turns(mut self) -> Result<Vec<Turn>> {
        let mut turns = Vec::new();
        for worker in &mut self.0 {
            for line in (&mut worker.stdout).lines() {
                turns.extend(Turn::parse(&line?));
            }
            if !worker.process.wait()?.success() {
                return Err("a worker failed".into());
            }
        }
        Ok(turns)
    }
}

impl Worker {
    fn start(arguments: &Arguments, number: u64, options: &[(&str, String)]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&arguments.words);
        command.args(["--worker", &number.to_string()]);
        for (option, value) in options {
            command.args([&format!("--{option}"), value]);
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self {
            stdin: process.stdin.take().ok_or("no stdin")?,
            stdout: BufReader::new(process.stdout.take().ok_or("no stdout")?),
            process,
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In a worker: says that it is there, and waits for the word.
pub async fn ready() -> Result<()> {
    println!("READY");
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}
