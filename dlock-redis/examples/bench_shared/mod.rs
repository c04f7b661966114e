//! What the subjects of the bench share: arguments, clock, figures, workers in processes of their own.
#![allow(dead_code)] // Each subject uses a part of it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long a lock is held where holding matters.
pub const HOLD: Duration = Duration::from_millis(5);

/// `<case> --url <url> --seconds <n> [--key value]...`
#[derive(Clone)]
pub struct Arguments {
    pub case: String,
    pub url: String,
    pub seconds: f64,
    others: Vec<(String, String)>,
}

impl Arguments {
    pub fn parse() -> Result<Self> {
        let mut words = std::env::args().skip(1);
        let case = words.next().ok_or("which case?")?;
        let (mut url, mut seconds, mut others) = (String::new(), 2.0, Vec::new());
        while let Some(word) = words.next() {
            let value = words.next().ok_or_else(|| format!("{word} what?"))?;
            match word.as_str() {
                "--url" => url = value,
                "--seconds" => seconds = value.parse()?,
                _ => others.push((word.trim_start_matches('-').to_owned(), value)),
            }
        }
        Ok(Self {
            case,
            url,
            seconds,
            others,
        })
    }

    pub fn time(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.others.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn number(&self, name: &str) -> Result<u64> {
        Ok(self
            .get(name)
            .ok_or_else(|| format!("--{name}?"))?
            .parse()?)
    }
}

/// Nanoseconds on a clock that all processes of this machine share.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// One figure of which less is better, for xtask to read.
pub fn report(metric: &str, value: f64, unit: &str) {
    println!("FIGURE\t{metric}\t{value}\t{unit}\tless");
}

/// One figure of which more is better.
pub fn report_more(metric: &str, value: f64, unit: &str) {
    println!("FIGURE\t{metric}\t{value}\t{unit}\tmore");
}

pub fn name(case: &str) -> String {
    format!("bench-{case}-{}", now())
}

/// p50 and p99 of latencies in nanoseconds, as microseconds.
pub fn report_latencies(mut nanos: Vec<u64>) {
    nanos.sort_unstable();
    let at = |share: f64| {
        let index = (nanos.len() as f64 * share) as usize;
        nanos.get(index.min(nanos.len().saturating_sub(1))).copied()
    };
    for (metric, share) in [("hand-over p50", 0.5), ("hand-over p99", 0.99)] {
        if let Some(nanos) = at(share) {
            report(metric, nanos as f64 / 1000.0, "µs");
        }
    }
}

/// One turn at the lock.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub order: u64,
    pub who: u64,
    pub granted_at: u64,
    pub released_at: u64,
}

/// Hand-overs between neighbours in the order of the turns, how many went to another, and how
/// evenly; only of the time in which everybody was there.
pub fn report_turns(mut turns: Vec<Turn>, who: u64) {
    turns.sort_unstable_by_key(|turn| turn.order);
    let latencies = turns
        .windows(2)
        .map(|pair| pair[1].granted_at.saturating_sub(pair[0].released_at));
    report_latencies(latencies.collect());
    let kept = turns.windows(2).filter(|pair| pair[0].who == pair[1].who);
    report("kept by the releaser", kept.count() as f64, "");
    let counts = (0..who).map(|who| turns.iter().filter(|turn| turn.who == who).count());
    let (least, most) = (counts.clone().min(), counts.max());
    if let (Some(least), Some(most)) = (least, most) {
        report("max/min acquisitions", most as f64 / least as f64, "");
    }
    report_more("acquisitions", turns.len() as f64, "");
}

/// What clients have asked since the statistics were reset. These commands cannot be called by
/// scripts, and our clients send no others.
pub async fn requests(connection: &mut redis::aio::MultiplexedConnection) -> Result<f64> {
    const ASKED: [&str; 8] = [
        "evalsha",
        "eval",
        "ping",
        "subscribe",
        "hello",
        "auth",
        "select",
        "script|load",
    ];
    let text: String = redis::cmd("INFO")
        .arg("commandstats")
        .query_async(connection)
        .await?;
    let mut total = 0.0;
    for line in text.lines() {
        let Some((command, rest)) = line
            .strip_prefix("cmdstat_")
            .and_then(|l| l.split_once(':'))
        else {
            continue;
        };
        if ASKED.contains(&command) || command.starts_with("client") {
            let calls = rest
                .strip_prefix("calls=")
                .and_then(|rest| rest.split(',').next());
            total += calls
                .and_then(|calls| calls.parse::<f64>().ok())
                .unwrap_or(0.0);
        }
    }
    Ok(total)
}

pub async fn reset(connection: &mut redis::aio::MultiplexedConnection) -> Result<()> {
    Ok(redis::cmd("CONFIG")
        .arg("RESETSTAT")
        .query_async(connection)
        .await?)
}

pub async fn connect(url: &str) -> Result<redis::aio::MultiplexedConnection> {
    Ok(redis::Client::open(url)?
        .get_multiplexed_async_connection()
        .await?)
}

/// Copies of this program, each a process that says `READY`, waits for a line, and then works.
pub struct Workers(Vec<(Child, ChildStdin, BufReader<std::process::ChildStdout>)>);

impl Workers {
    pub fn start(arguments: &Arguments, count: u64, options: &[(&str, String)]) -> Result<Self> {
        let mut workers = Vec::new();
        for worker in 0..count {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(&arguments.case).args(["--url", &arguments.url]);
            command.args(["--seconds", &arguments.seconds.to_string()]);
            command.args(["--worker", &worker.to_string()]);
            for (option, value) in options {
                command.args([&format!("--{option}"), value]);
            }
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let stdin = child.stdin.take().ok_or("no stdin")?;
            let stdout = BufReader::new(child.stdout.take().ok_or("no stdout")?);
            workers.push((child, stdin, stdout));
        }
        let mut all = Self(workers);
        for (_, _, stdout) in &mut all.0 {
            let mut line = String::new();
            stdout.read_line(&mut line)?;
            if line.trim() != "READY" {
                return Err(format!("a worker said {line:?}").into());
            }
        }
        Ok(all)
    }

    /// Lets them do the next thing.
    pub fn go(&mut self) -> Result<()> {
        for (_, stdin, _) in &mut self.0 {
            stdin.write_all(b"GO\n")?;
        }
        Ok(())
    }

    /// Waits for their end and reads the turns they have had.
    pub fn turns(mut self) -> Result<Vec<Turn>> {
        let mut turns = Vec::new();
        for (child, _, stdout) in &mut self.0 {
            for line in stdout.lines() {
                let numbers: Vec<u64> = line?
                    .split(' ')
                    .filter_map(|word| word.parse().ok())
                    .collect();
                if let [order, who, granted_at, released_at] = numbers[..] {
                    turns.push(Turn {
                        order,
                        who,
                        granted_at,
                        released_at,
                    });
                }
            }
            if !child.wait()?.success() {
                return Err("a worker failed".into());
            }
        }
        Ok(turns)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for (child, _, _) in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// In a worker: says that it is there, and waits for the word.
pub async fn ready() -> Result<()> {
    println!("READY");
    next_word().await
}

pub async fn next_word() -> Result<()> {
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}

pub fn tell(turns: &[Turn]) {
    for turn in turns {
        println!(
            "{} {} {} {}",
            turn.order, turn.who, turn.granted_at, turn.released_at
        );
    }
}
