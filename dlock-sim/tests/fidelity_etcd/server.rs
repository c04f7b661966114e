//! Real etcds on free ports, with their data in memory where that is possible.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// The shell that starts the server waits for the end of its own input, so that a test that is killed leaves
/// nothing behind.
const LEASH: &str = r#"directory=$1; shift; "$@" 2>&1 & echo $! >&2; exec >/dev/null 2>&1; read _; kill -9 $!; wait $!; rm -rf "$directory""#;

/// A member, killed when it is dropped.
pub struct Server {
    pub endpoint: String,
    pid: String,
    shell: Child,
    leash: Option<ChildStdin>,
}

impl Server {
    /// A cluster of one. `None`: there is no etcd, and the test should return.
    pub fn start() -> Option<Self> {
        Some(Self::cluster(1)?.remove(0))
    }

    /// A cluster.
    pub fn cluster(members: usize) -> Option<Vec<Self>> {
        let Some(binary) = binary() else {
            assert!(
                std::env::var("DLOCK_TEST_REQUIRE_SERVERS").as_deref() != Ok("1"),
                "there is no etcd. Install it (Debian: apt-get install etcd-server), or set DLOCK_TEST_ETCD_SERVER to \
                 the binary; or unset DLOCK_TEST_REQUIRE_SERVERS to skip such tests"
            );
            println!("SKIP(there is no etcd)");
            return None;
        };
        // Somebody else may take the ports before the servers do: hence several tries.
        let servers = (0..5).find_map(|_| Self::launch_all(&binary, members));
        Some(servers.expect("etcd does not start"))
    }

    fn launch_all(binary: &Path, members: usize) -> Option<Vec<Self>> {
        let peers: Vec<_> = (0..members).map(|_| free_url()).collect();
        let named = peers.iter().enumerate();
        let all: Vec<_> = named.map(|(at, peer)| format!("m{at}={peer}")).collect();
        let launched: Option<Vec<_>> = peers
            .iter()
            .enumerate()
            .map(|(at, peer)| Self::launch(binary, &format!("m{at}"), peer, &all.join(",")))
            .collect();
        let mut servers = Vec::new();
        for (server, mut lines) in launched? {
            servers.push(server);
            if !lines.any(|line| {
                line.contains("serving client traffic")
                    || line.contains("serving insecure client requests")
            }) {
                return None;
            }
            std::thread::spawn(move || lines.for_each(drop));
        }
        Some(servers)
    }

    fn launch(
        binary: &Path,
        name: &str,
        peer: &str,
        cluster: &str,
    ) -> Option<(Self, impl Iterator<Item = String> + Send + use<>)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let memory = Path::new("/dev/shm");
        let home = if memory.is_dir() {
            memory.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        let directory = home.join(format!("dlock-fidelity-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&directory).ok()?;
        let client = free_url();
        let mut shell = Command::new("sh")
            .args(["-c", LEASH, "sh"])
            .arg(&directory)
            .arg(binary)
            .args(["--name", name, "--data-dir"])
            .arg(directory.join("data"))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", peer])
            .args(["--initial-advertise-peer-urls", peer])
            .args(["--initial-cluster", cluster])
            .args(["--logger", "zap", "--log-outputs", "stderr"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let leash = shell.stdin.take();
        let pid = BufReader::new(shell.stderr.take()?).lines().next()?.ok()?;
        let lines = BufReader::new(shell.stdout.take()?)
            .lines()
            .map_while(Result::ok);
        let server = Self {
            endpoint: client,
            pid,
            shell,
            leash,
        };
        Some((server, lines))
    }

    /// SIGKILL, SIGSTOP, SIGCONT.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`: the program may be missing.
        let command = format!("kill -{name} {}", self.pid);
        let status = Command::new("sh").args(["-c", &command]).status();
        assert!(status.is_ok_and(|status| status.success()), "{command}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut leash) = self.leash.take() {
            let _ = leash.write_all(b"\n");
        }
        let _ = self.shell.wait();
    }
}

fn binary() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("DLOCK_TEST_ETCD_SERVER") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join("etcd"))
        .find(|file| file.is_file())
}

fn free_url() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    format!("http://127.0.0.1:{port}")
}
