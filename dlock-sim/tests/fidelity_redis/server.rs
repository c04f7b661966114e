//! A real server of the test's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::frame::{Frame, parse_all};

/// A server process, gone with this value, or with the test's process however that ends.
pub struct Server {
    shell: Child,
    port: u16,
    // Its end tells the shell to kill the server.
    leash: Option<ChildStdin>,
}

/// Kills the server when its own input ends.
const LEASH: &str = r#"directory=$1; shift; "$@" 2>&1 & exec 2>/dev/null; read _; kill -9 $!; wait $!; rm -rf "$directory""#;

impl Server {
    /// Starts this binary on a free port.
    pub fn start(binary: &Path) -> Option<Self> {
        for _ in 0..5 {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let directory = std::env::temp_dir().join(format!("dlock-fidelity-{port}"));
            std::fs::create_dir_all(&directory).unwrap();
            let mut shell = Command::new("sh")
                .args(["-c", LEASH, "sh"])
                .arg(&directory)
                .arg(binary)
                .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
                .args(["--port", &port.to_string(), "--dir"])
                .arg(&directory)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let leash = shell.stdin.take();
            let mut lines = BufReader::new(shell.stdout.take().unwrap())
                .lines()
                .map_while(Result::ok);
            let mut server = Self { shell, port, leash };
            if lines.any(|line| line.contains("Ready to accept connections")) {
                std::thread::spawn(move || lines.for_each(drop));
                return Some(server);
            }
            server.stop();
        }
        None
    }

    pub fn connect(&self) -> Wire {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).unwrap();
        Wire { stream, markers: 0 }
    }

    fn stop(&mut self) {
        self.leash.take();
        let _ = self.shell.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A connection to it.
pub struct Wire {
    stream: TcpStream,
    markers: u64,
}

impl Wire {
    /// Sends commands, and returns all that has arrived when they are answered.
    pub fn ask(&mut self, commands: &[Vec<Vec<u8>>]) -> Vec<Frame> {
        self.markers += 1;
        let marker = format!("marker-{:08}", self.markers);
        let mut bytes = Vec::new();
        for command in commands {
            encode(command, &mut bytes);
        }
        // Allowed in every state of a connection.
        encode(&[b"PING".to_vec(), marker.clone().into_bytes()], &mut bytes);
        self.stream.write_all(&bytes).unwrap();
        let end = format!("{marker}\r\n").into_bytes();
        let mut got = Vec::new();
        let mut space = [0; 16 * 1024];
        while !got.ends_with(&end) {
            let read = self.stream.read(&mut space).unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&got));
            });
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&got));
            got.extend_from_slice(&space[..read]);
        }
        let mut frames = parse_all(&got);
        frames.pop();
        frames
    }
}

fn encode(words: &[Vec<u8>], to: &mut Vec<u8>) {
    to.extend(format!("*{}\r\n", words.len()).into_bytes());
    for word in words {
        to.extend(format!("${}\r\n", word.len()).into_bytes());
        to.extend_from_slice(word);
        to.extend_from_slice(b"\r\n");
    }
}

/// `redis-server` as the other tests find it.
pub fn redis() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("DLOCK_TEST_REDIS_SERVER") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    let mut files = std::env::split_paths(&path).map(|directory| directory.join("redis-server"));
    files.find(|file| file.is_file())
}

/// A `valkey-server` besides, if there is one.
pub fn valkey() -> Option<PathBuf> {
    std::env::var_os("DLOCK_TEST_VALKEY").map(PathBuf::from)
}
