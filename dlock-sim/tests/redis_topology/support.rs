use std::sync::Arc;
use std::time::Duration;

use dlock_core::conformance::VirtualRuntime;
use dlock_core::runtime::Runtime;
use dlock_redis::redis::aio::MultiplexedConnection;
use dlock_redis::redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, RedisResult, Value};
use dlock_sim::redis::{Topology, TopologySettings, serve};
use dlock_sim::trace::{AuthorityEnd, Kind, Recorder, TrueClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Servers in virtual time, and clients of them.
pub struct World {
    pub topology: Topology,
    pub recorder: Recorder,
    pub runtime: Arc<dyn Runtime>,
    origin: u64,
}

struct ClockOf {
    runtime: Arc<dyn Runtime>,
    origin: u64,
}

impl TrueClock for ClockOf {
    fn now_ns(&self) -> u64 {
        self.runtime.now().as_nanos() - self.origin
    }
}

impl World {
    pub fn new(nodes: &[&str]) -> Self {
        let runtime: Arc<dyn Runtime> = Arc::new(VirtualRuntime::new(5));
        let origin = runtime.now().as_nanos();
        let clock = ClockOf {
            runtime: runtime.clone(),
            origin,
        };
        let recorder = Recorder::new(Arc::new(clock));
        let settings = TopologySettings::replicated("redis", nodes);
        Self {
            topology: Topology::new(settings, recorder.clone()),
            recorder,
            runtime,
            origin,
        }
    }

    pub async fn pass(&self, millis: u64) {
        self.runtime.sleep(Duration::from_millis(millis)).await;
    }

    pub fn now_ms(&self) -> u64 {
        (self.runtime.now().as_nanos() - self.origin) / 1_000_000
    }

    /// A client on this machine, connected to a server.
    pub async fn client(&self, node: usize, peer: &'static str) -> MultiplexedConnection {
        self.try_client(node, peer).await.unwrap()
    }

    pub async fn try_client(
        &self,
        node: usize,
        peer: &'static str,
    ) -> RedisResult<MultiplexedConnection> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (topology, runtime) = (self.topology.clone(), self.runtime.clone());
        let serving = serve(topology, node, theirs, peer, runtime);
        self.runtime.spawn(Box::pin(serving));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let info = RedisConnectionInfo::default();
        let opening = MultiplexedConnection::new_with_config(&info, ours, config);
        let (connection, driver) = opening.await?;
        self.runtime.spawn(Box::pin(driver));
        Ok(connection)
    }

    /// A client that listens to `news`.
    pub async fn listener(&self, node: usize) -> Listener {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (topology, runtime) = (self.topology.clone(), self.runtime.clone());
        let serving = serve(topology, node, theirs, "listener", runtime);
        self.runtime.spawn(Box::pin(serving));
        let mut listener = Listener(ours);
        listener.0.write_all(b"SUBSCRIBE news\r\n").await.unwrap();
        listener
            .reads(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
            .await;
        listener
    }

    /// What was written about who holds what, in short: `ms node what`.
    pub fn story(&self) -> Vec<String> {
        self.topology.settle();
        let events = self.recorder.events().into_iter();
        let lines = events.filter_map(|event| {
            let ms = |ns: Option<u64>| ns.map_or("∞".to_owned(), ms);
            let by =
                |by: &Option<String>| by.clone().map(|by| format!(" by {by}")).unwrap_or_default();
            let what = match &event.kind {
                Kind::AuthorityBegins {
                    name,
                    attempt,
                    until_ns,
                    by: client,
                    ..
                } => {
                    let who = if attempt.is_some() {
                        "grant"
                    } else {
                        "foreign"
                    };
                    format!("{name} begins {who} until {}{}", ms(*until_ns), by(client))
                }
                Kind::AuthorityMoved {
                    name,
                    until_ns,
                    by: client,
                    ..
                } => {
                    format!("{name} moves to {}{}", ms(*until_ns), by(client))
                }
                Kind::AuthorityEnds {
                    name,
                    why,
                    by: client,
                    ..
                } => {
                    let why = match why {
                        AuthorityEnd::Expired => "expired",
                        AuthorityEnd::Removed => "removed",
                        AuthorityEnd::Replaced => "replaced",
                        AuthorityEnd::Dropped => "dropped",
                        AuthorityEnd::Lost => "lost",
                    };
                    format!("{name} {why}{}", by(client))
                }
                _ => return None,
            };
            Some(format!("{} {} {what}", self::ms(event.t_ns), event.node))
        });
        lines.collect()
    }
}

/// A connection in RESP2 that hears messages.
pub struct Listener(DuplexStream);

impl Listener {
    /// The next thing to hear is this message.
    pub async fn hears(&mut self, text: &str) {
        let length = text.len();
        let message = format!("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n${length}\r\n{text}\r\n");
        self.reads(message.as_bytes()).await;
    }

    async fn reads(&mut self, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        let patience = std::time::Duration::from_secs(60);
        let reading = self.0.read_exact(&mut got);
        tokio::time::timeout(patience, reading)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&got),
            String::from_utf8_lossy(expected)
        );
    }
}

fn ms(ns: u64) -> String {
    (ns as f64 / 1e6).to_string()
}

/// Sends a command of words.
pub async fn ask(client: &MultiplexedConnection, words: &[&str]) -> RedisResult<Value> {
    let mut command = Cmd::new();
    command.arg(words);
    command.query_async(&mut client.clone()).await
}

/// The same, as text: what is there, or the error's code.
pub async fn say(client: &MultiplexedConnection, words: &[&str]) -> String {
    match ask(client, words).await {
        Ok(Value::Nil) => "nil".to_owned(),
        Ok(Value::Okay) => "OK".to_owned(),
        Ok(Value::Int(number)) => number.to_string(),
        Ok(Value::BulkString(text)) => String::from_utf8(text).unwrap(),
        Ok(Value::SimpleString(text)) => text,
        Ok(other) => format!("{other:?}"),
        Err(error) => error.code().map_or("gone".to_owned(), str::to_owned),
    }
}

/// What a lock of ours looks like.
pub fn grant(digit: char, token: u64) -> String {
    let id: String = std::iter::repeat_n(digit, 32).collect();
    format!("dlock1:{id}:{token}:host:1")
}
