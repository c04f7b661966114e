use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::{binary, skip, unique};

/// One etcd process, gone with this value, or with the test's process however that ends.
pub struct Member {
    name: String,
    directory: PathBuf,
    port: u16,
    peer_port: u16,
    arguments: Vec<String>,
    /// All its peers, in etcd's words.
    cluster: String,
    process: Option<Process>,
}

struct Process {
    pid: String,
    shell: Child,
    log: Option<BufReader<ChildStdout>>,
    // Its end tells the shell to kill the server.
    leash: ChildStdin,
}

/// Starts the server, says its process number, and kills it when its own input ends, and its data with
/// it. So nothing is left behind, even by a test that is killed. A line of input spares the data.
const LEASH: &str = r#"directory=$1; shift; "$@" 2>&1 & echo $! >&2; exec >/dev/null 2>&1; read _; spare=$?; kill -9 $!; wait $!; [ $spare = 0 ] || rm -rf "$directory""#;

impl Member {
    /// A member of a test's own, a cluster by itself; `None`: there is none, and the test should return.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more arguments.
    pub fn start_with(arguments: &[&str]) -> Option<Self> {
        Some(Cluster::start_with(1, arguments)?.members.remove(0))
    }

    pub fn endpoint(&self) -> String {
        // With certificates it speaks TLS.
        let tls = self.arguments.iter().any(|one| one == "--cert-file");
        let scheme = if tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn directory(&self) -> &PathBuf {
        &self.directory
    }

    fn new(arguments: &[&str]) -> Self {
        // Somebody else may take the ports before the server does: hence several tries.
        let port = || {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let name = unique("dlock-etcd-test");
        Self {
            directory: std::env::temp_dir().join(&name),
            name,
            port: port(),
            peer_port: port(),
            arguments: arguments.iter().map(|&one| one.to_owned()).collect(),
            cluster: String::new(),
            process: None,
        }
    }

    fn peer(&self) -> String {
        format!("{}=http://127.0.0.1:{}", self.name, self.peer_port)
    }

    fn launch(&mut self) {
        std::fs::create_dir_all(&self.directory).unwrap();
        let client = self.endpoint();
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let mut shell = Command::new("sh")
            .args(["-c", LEASH, "sh"])
            .arg(&self.directory)
            .arg(binary("DLOCK_TEST_ETCD_SERVER", "etcd").unwrap())
            .args(["--name", &self.name, "--data-dir"])
            .arg(self.directory.join("data"))
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &self.cluster])
            .args(["--logger", "zap", "--log-outputs", "stderr"])
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
        self.process = Some(Process {
            pid,
            log: shell.stdout.take().map(BufReader::new),
            shell,
            leash,
        });
    }

    /// Whether it came up: its own log tells, so nobody polls.
    fn is_ready(&mut self) -> bool {
        let log = self.process.as_mut().and_then(|process| process.log.take());
        let mut lines = log.unwrap().lines().map_while(Result::ok);
        let ready = lines
            .by_ref()
            .any(|line| line.contains("serving client traffic"));
        if ready {
            std::thread::spawn(move || lines.for_each(drop));
        }
        ready
    }

    /// SIGKILL. Its data stays.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal("KILL", &process.pid);
            let _ = process.leash.write_all(b"\n");
            process.shell.wait().unwrap();
        }
    }

    /// Starts it again after a kill, on its ports and its data.
    pub fn restart(&mut self) {
        self.kill();
        self.launch();
        assert!(self.is_ready(), "the member does not start again");
    }

    /// SIGSTOP: connections stay open, nothing answers.
    pub fn freeze(&self) {
        signal("STOP", &self.process.as_ref().unwrap().pid);
    }

    /// SIGCONT
    pub fn thaw(&self) {
        signal("CONT", &self.process.as_ref().unwrap().pid);
    }
}

fn signal(name: &str, pid: &str) {
    // The shell's own `kill`: the program may be missing.
    let _ = Command::new("sh")
        .args(["-c", &format!("kill -{name} {pid}")])
        .stderr(Stdio::null())
        .status();
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Members that form one etcd.
pub struct Cluster {
    pub members: Vec<Member>,
}

impl Cluster {
    /// Three members; `None`: there is no etcd, and the test should return.
    pub fn start() -> Option<Self> {
        Self::start_with(3, &[])
    }

    fn start_with(count: usize, arguments: &[&str]) -> Option<Self> {
        if binary("DLOCK_TEST_ETCD_SERVER", "etcd").is_none() {
            skip("there is no etcd");
            return None;
        }
        for _ in 0..5 {
            let mut members: Vec<_> = (0..count).map(|_| Member::new(arguments)).collect();
            let peers: Vec<_> = members.iter().map(Member::peer).collect();
            for member in &mut members {
                member.cluster = peers.join(",");
                member.launch();
            }
            if members.iter_mut().all(Member::is_ready) {
                return Some(Self { members });
            }
        }
        skip(&format!("etcd does not start with {arguments:?}"));
        None
    }

    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Member::endpoint).collect()
    }
}
