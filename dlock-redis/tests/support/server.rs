use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::{binary, skip, unique};

/// A server process, gone with this value, or with the test's process however that ends.
pub struct Server {
    arguments: Vec<String>,
    directory: PathBuf,
    port: u16,
    process: Option<Process>,
}

struct Process {
    pid: String,
    shell: Child,
    // Its end tells the shell to kill the server.
    _leash: ChildStdin,
}

/// Starts the server, says its process number, and kills it when its own input ends. So nothing is
/// left behind, even by a test that is killed.
const LEASH: &str = r#"directory=$1; shift; "$@" 2>&1 & echo $! >&2; exec 2>/dev/null; read _; kill -9 $!; wait $!; rm -rf "$directory""#;

impl Server {
    /// A server of a test's own; `None`: there is none, and the test should return.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more arguments.
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        let server = Self::try_start_with(arguments);
        if server.is_none() {
            skip(&match binary() {
                Some(binary) => format!("{} does not start with {arguments:?}", binary.display()),
                None => "there is no redis-server".to_owned(),
            });
        }
        server
    }

    /// The same, where not to start is no reason to complain.
    pub fn try_start_with(arguments: &[&str]) -> Option<Self> {
        binary()?;
        for _ in 0..5 {
            let mut server = Self {
                arguments: arguments
                    .iter()
                    .map(|&argument| argument.to_owned())
                    .collect(),
                directory: std::env::temp_dir().join(unique("dlock-redis-test")),
                // Somebody else may take the port before the server does: hence several tries.
                port: TcpListener::bind(("127.0.0.1", 0))
                    .unwrap()
                    .local_addr()
                    .unwrap()
                    .port(),
                process: None,
            };
            if server.run() {
                return Some(server);
            }
        }
        None
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the server may write, and a test may put files.
    pub fn directory(&self) -> &PathBuf {
        &self.directory
    }

    /// SIGKILL: connections break, data is lost.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal("KILL", &process.pid);
            drop(process._leash);
            process.shell.wait().unwrap();
        }
    }

    /// Starts it again on its port, without data.
    pub fn restart_empty(&mut self) {
        self.kill();
        assert!(self.run(), "the server does not start again");
    }

    /// SIGSTOP: connections stay open, nothing answers.
    pub fn freeze(&self) {
        signal("STOP", &self.process.as_ref().unwrap().pid);
    }

    /// SIGCONT
    pub fn thaw(&self) {
        signal("CONT", &self.process.as_ref().unwrap().pid);
    }

    /// Whether it came up.
    fn run(&mut self) -> bool {
        std::fs::create_dir_all(&self.directory).unwrap();
        let mut shell = Command::new("sh")
            .args(["-c", LEASH, "sh"])
            .arg(&self.directory)
            .arg(binary().unwrap())
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
            ])
            .arg(&self.directory)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let leash = shell.stdin.take().unwrap();
        let pid = BufReader::new(shell.stderr.take().unwrap())
            .lines()
            .next()
            .unwrap()
            .unwrap();
        let mut lines = BufReader::new(shell.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        self.process = Some(Process {
            pid,
            shell,
            _leash: leash,
        });
        // The server's own log tells when it is ready, and when it never will be: no polling.
        for line in lines.by_ref() {
            if line.contains("Ready to accept connections") {
                std::thread::spawn(move || lines.for_each(drop));
                return true;
            }
            if line.contains("FATAL") || line.contains("Failed") || line.contains("Bad directive") {
                break;
            }
        }
        self.kill();
        false
    }
}

fn signal(name: &str, pid: &str) {
    // The shell's own `kill`: the program may be missing.
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -{name} {pid}")])
        .stderr(Stdio::null())
        .status();
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// How long a test waits for something that takes milliseconds on a quiet machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
