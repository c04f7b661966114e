//! The simulated Redis answers as a real one does: the same generated command traces go to both, and
//! their replies are compared byte by byte, but for what cannot be equal (see `frame::Mask`).
//!
//! `DLOCK_FIDELITY_TRACES` says how many traces, `DLOCK_FIDELITY_SEED` with which the first begins.
//! `DLOCK_TEST_VALKEY` names a `valkey-server` that is compared, too.
#![cfg(feature = "redis")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // A real server lives in real time.

mod frame;
mod random;
mod scripts;
mod server;
mod traces;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dlock_sim::redis::engine::{Engine, Outcome, Reply, Session};
use frame::{Frame, Mask, agree, parse_all};
use scripts::TOKEN;
use server::{Server, Wire};
use traces::{CONNECTIONS, Dialect, Step};

#[test]
fn it_answers_as_redis_does() {
    match server::redis() {
        Some(binary) => compare("redis", &binary, dialect(&binary)),
        None => skip("there is no redis-server"),
    }
}

#[test]
fn it_answers_as_valkey_does() {
    match server::valkey() {
        Some(binary) => compare("valkey", &binary, Dialect::Other),
        None => println!("SKIP(DLOCK_TEST_VALKEY names no valkey-server)"),
    }
}

fn skip(reason: &str) {
    let required = std::env::var("DLOCK_TEST_REQUIRE_SERVERS");
    assert_ne!(required.as_deref(), Ok("1"), "{reason}");
    println!("SKIP({reason})");
}

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Redis 7.0 is what the simulation is; other servers word their errors in their own ways.
fn dialect(binary: &Path) -> Dialect {
    let version = std::process::Command::new(binary).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    match version {
        Ok(version) if version.contains("v=7.0.") => Dialect::Redis70,
        _ => Dialect::Other,
    }
}

fn compare(name: &str, binary: &Path, dialect: Dialect) {
    let server = Server::start(binary).unwrap_or_else(|| panic!("{binary:?} does not start"));
    let (first, count) = (
        setting("DLOCK_FIDELITY_SEED", 0),
        setting("DLOCK_FIDELITY_TRACES", 2000),
    );
    let most = setting("DLOCK_FIDELITY_SHOW", 5);
    let mut commands = 0;
    let mut outcomes = Outcomes::default();
    let mut differences = Vec::new();
    for seed in first..first + count {
        let mut outcome = run(&server, seed, dialect, &mut outcomes);
        if outcome.difference.is_some() {
            // A machine that stood still for a while puts a time limit between the two servers: not twice.
            outcome = run(&server, seed, dialect, &mut outcomes);
        }
        commands += outcome.commands;
        differences.extend(outcome.difference);
        if differences.len() as u64 >= most {
            break;
        }
    }
    println!(
        "{name}: {count} traces, {commands} commands, {} differences",
        differences.len()
    );
    outcomes.0.retain(|word, _| WANTED.contains(&word.as_str()));
    println!("among the answers: {:?}", outcomes.0);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    outcomes.assert_all(count);
}

struct Compared {
    commands: usize,
    difference: Option<String>,
}

fn run(server: &Server, seed: u64, dialect: Dialect, outcomes: &mut Outcomes) -> Compared {
    let mut control = server.connect();
    let fresh = [
        &["REPLICAOF", "NO", "ONE"][..],
        &["CONFIG", "SET", "maxmemory", "0"],
        &["FLUSHALL"],
        &["SCRIPT", "FLUSH"],
    ];
    control.ask(&fresh.map(|words| words.iter().map(|word| word.as_bytes().to_vec()).collect()));
    let mut real: Vec<Wire> = (0..CONNECTIONS).map(|_| server.connect()).collect();
    let mut simulated = Simulated::new(dialect);
    let (mut real_tokens, mut simulated_tokens) = (Tokens::default(), Tokens::default());
    let mut compared = Compared {
        commands: 0,
        difference: None,
    };
    for step in traces::trace(seed, dialect) {
        let Step::Send(connection, commands) = step else {
            std::thread::sleep(Duration::from_millis(9));
            continue;
        };
        compared.commands += commands.len();
        let now_us = now_us();
        let words = |tokens: &Tokens| -> Vec<Vec<Vec<u8>>> {
            commands
                .iter()
                .map(|command| tokens.put_into(&command.words))
                .collect()
        };
        let (to_real, to_simulated) = (words(&real_tokens), words(&simulated_tokens));
        let got = real[connection].ask(&to_real);
        let masks = commands.iter().map(|command| command.mask);
        let expected = simulated.ask(connection, to_simulated.iter().zip(masks), now_us);
        let frames: Vec<Frame> = expected
            .iter()
            .map(|expected| expected.frame.clone())
            .collect();
        // Pushes may come between: only with as many replies as commands is it known which is which.
        if got.len() == commands.len() && frames.len() == commands.len() {
            for (index, words) in to_real.iter().enumerate() {
                real_tokens.learn(words, &got[index]);
                simulated_tokens.learn(words, &frames[index]);
                outcomes.see(&got[index]);
            }
        }
        compared.difference = difference(&got, &expected, dialect);
        if let Some(difference) = &mut compared.difference {
            *difference = format!("seed {seed}, {:?}: {difference}", traces::theme(seed));
            return compared;
        }
    }
    for (connection, wire) in real.iter_mut().enumerate() {
        let got = wire.ask(&[]);
        let expected = simulated.ask(connection, std::iter::empty(), now_us());
        if let Some(difference) = difference(&got, &expected, dialect) {
            compared.difference = Some(format!("seed {seed}, at the end: {difference}"));
            return compared;
        }
    }
    compared
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_micros() as i64
}

/// A reply of the simulated server, and what it answers.
struct Expected {
    frame: Frame,
    mask: Mask,
    why: String,
}

fn difference(got: &[Frame], expected: &[Expected], dialect: Dialect) -> Option<String> {
    for (index, expected) in expected.iter().enumerate() {
        match got.get(index) {
            Some(got) if agree(got, &expected.frame, expected.mask, dialect) => {}
            got => {
                return Some(format!(
                    "{}\n   real: {got:?}\n   ours: {:?}",
                    expected.why, expected.frame
                ));
            }
        }
    }
    let more = got.get(expected.len())?;
    let last = expected.last().map_or("nothing", |expected| &expected.why);
    Some(format!("after {last}\n   real: {more:?}\n   ours: nothing"))
}

struct Simulated {
    engine: Engine,
    sessions: Vec<Session>,
    pending: Vec<Vec<Expected>>,
    dialect: Dialect,
}

impl Simulated {
    fn new(dialect: Dialect) -> Self {
        let engine = Engine::new();
        Self {
            sessions: (0..CONNECTIONS as u64)
                .map(|id| engine.connect(id))
                .collect(),
            pending: (0..CONNECTIONS).map(|_| Vec::new()).collect(),
            engine,
            dialect,
        }
    }

    fn ask<'c>(
        &mut self,
        connection: usize,
        commands: impl Iterator<Item = (&'c Vec<Vec<u8>>, Mask)>,
        now_us: i64,
    ) -> Vec<Expected> {
        for (words, mask) in commands {
            let session = &mut self.sessions[connection];
            let outcome = self.engine.execute(session, now_us, words);
            let words = words.iter();
            let words: Vec<String> = words.map(|word| word.escape_ascii().to_string()).collect();
            let mut why = format!("[{connection}] {}", words.join(" "));
            why.truncate(300);
            let own = self.pending[connection].len();
            let deliveries = self.engine.take_deliveries();
            for delivery in &deliveries {
                let to = delivery.client;
                let patterned = deliveries.iter().filter(|other| {
                    other.client == to
                        && matches!(&other.message, Reply::Push(parts) if parts.len() == 4)
                });
                // Which of its patterns comes first is the server's secret.
                let mask = match patterned.count() {
                    0 | 1 => Mask::Nothing,
                    _ => Mask::Content,
                };
                let why = format!("{why} (published)");
                self.put(to as usize, &delivery.message, mask, why);
            }
            let reply = match outcome {
                Outcome::Reply(reply) => reply,
                // There are no replicas.
                Outcome::Wait { .. } => Reply::Integer(0),
            };
            let published = self.pending[connection].split_off(own);
            if self.dialect == Dialect::Redis70 {
                self.pending[connection].extend(published);
                self.put(connection, &reply, mask, why);
            } else {
                // Since 7.2 a client has its reply before what it has published to itself.
                self.put(connection, &reply, mask, why);
                self.pending[connection].extend(published);
            }
        }
        std::mem::take(&mut self.pending[connection])
    }

    fn put(&mut self, connection: usize, reply: &Reply, mask: Mask, why: String) {
        let mut bytes = Vec::new();
        reply.write(self.sessions[connection].protocol, &mut bytes);
        let frames = parse_all(&bytes).into_iter().map(|frame| Expected {
            frame,
            mask,
            why: why.clone(),
        });
        self.pending[connection].extend(frames);
    }
}

/// The tokens that a server has granted last, by lock.
#[derive(Default)]
struct Tokens(BTreeMap<Vec<u8>, Vec<u8>>);

impl Tokens {
    fn put_into(&self, words: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let words = words
            .iter()
            .map(|word| match word.strip_prefix(TOKEN.as_bytes()) {
                Some(lock) => self.0.get(lock).cloned().unwrap_or(b"7".to_vec()),
                None => word.clone(),
            });
        words.collect()
    }

    fn learn(&mut self, words: &[Vec<u8>], reply: &Frame) {
        if let (Some(token), Some(lock)) = (granted(reply), words.get(3)) {
            self.0.insert(lock.clone(), token.to_vec());
        }
    }
}

/// The token of `{'granted', token, …}`, also behind a release.
fn granted(reply: &Frame) -> Option<&[u8]> {
    let Frame::Several(_, parts) = reply else {
        return None;
    };
    match parts.as_slice() {
        [Frame::Blob(_, word), Frame::Blob(_, token), ..] if word == b"granted" => Some(token),
        [_, answer] => granted(answer),
        _ => None,
    }
}

/// What the lock's scripts have answered, by first words: traces in which nothing happens show nothing.
#[derive(Default)]
struct Outcomes(BTreeMap<String, u64>);

impl Outcomes {
    fn see(&mut self, reply: &Frame) {
        let word = match reply {
            Frame::Several(_, parts) => match parts.as_slice() {
                [Frame::Blob(_, word), ..] => word.clone(),
                [Frame::Line(b':', number), Frame::Several(..)] => {
                    [&b"handed over "[..], number].concat()
                }
                [Frame::Line(b':', number)] => [&b"renewed "[..], number].concat(),
                _ => return,
            },
            Frame::Line(b'-', text) => text
                .split(|&byte| byte == b' ')
                .next()
                .unwrap_or_default()
                .to_vec(),
            _ => return,
        };
        let word = String::from_utf8_lossy(&word).into_owned();
        *self.0.entry(word).or_default() += 1;
    }

    fn assert_all(&self, traces: u64) {
        for word in WANTED {
            assert!(
                traces < 500 || self.0.contains_key(*word),
                "no script ever said {word}"
            );
        }
    }
}

/// What a run of some length must have shown.
const WANTED: &[&str] = &[
    "granted",
    "earlier",
    "busy",
    "reserved",
    "handed over 1",
    "renewed 1",
    "renewed 0",
    "renewed -1",
    "claimed",
    "stale",
    "written",
    "unclaimed",
    "DLOCKTYPE",
    "DLOCKCOUNTER",
    "DLOCKFENCE",
    "OOM",
    "READONLY",
    "NOSCRIPT",
    "WRONGTYPE",
];
