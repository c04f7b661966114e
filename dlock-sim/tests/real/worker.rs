//! A process whose tasks take locks, claim, and write.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dlock_core::fence::Stamped;
use dlock_core::store::LockStore;
use dlock_core::{Guard, Locker};
use dlock_etcd::EtcdStore;
use dlock_redis::RedisStore;
use dlock_sim::trace::{Kind, ProcessRecorder};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const LOCKS: usize = 2;
const TASKS: usize = 3;
/// The shortest that both stores can do.
const TTL: Duration = Duration::from_secs(2);

pub struct Worker {
    pub name: String,
    process: Mutex<Child>,
}

impl Worker {
    pub fn start(
        number: usize,
        store: &str,
        url: &str,
        prefix: &str,
        resource: SocketAddr,
        home: &Path,
    ) -> Self {
        let name = format!("c{number}");
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker::worker", "--nocapture"])
            .envs([
                ("DLOCK_REAL_STORE", store),
                ("DLOCK_REAL_URL", url),
                ("DLOCK_REAL_PREFIX", prefix),
                ("DLOCK_REAL_RESOURCE", &resource.to_string()),
                ("DLOCK_REAL_NAME", &name),
                ("DLOCK_REAL_NUMBER", &number.to_string()),
            ])
            .env("DLOCK_REAL_TRACE", home.join(format!("{name}.jsonl")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            name,
            process: Mutex::new(process),
        }
    }

    /// What happens to it, in its name.
    pub fn say(&self, home: &Path, state: &str) {
        let path = home.join(format!("{}-told.jsonl", self.name));
        let recorder = ProcessRecorder::create(path, &self.name, 0).unwrap();
        recorder.record(Kind::Process {
            state: state.to_owned(),
        });
    }

    pub fn signal(&self, name: &str) {
        let id = self.process.lock().unwrap().id();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {id}")])
            .status();
        assert!(sent.unwrap().success());
    }

    pub fn wait_for_death(&self) {
        self.process.lock().unwrap().wait().unwrap();
    }

    /// Closing its input tells it to end; one that was killed has ended.
    pub fn end(self) {
        let mut process = self.process.lock().unwrap();
        drop(process.stdin.take());
        let status = process.wait().unwrap();
        assert!(
            status.success() || status.code().is_none(),
            "{}: {status}",
            self.name
        );
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut process = self.process.lock().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// Not a test of its own: what a process does.
#[test]
fn worker() {
    let Ok(store) = std::env::var("DLOCK_REAL_STORE") else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work(&store));
}

fn given(what: &str) -> String {
    std::env::var(format!("DLOCK_REAL_{what}")).unwrap()
}

async fn work(store: &str) {
    let url = given("URL");
    let store: Arc<dyn LockStore> = match store {
        "redis" => Arc::new(RedisStore::connect(url).await.unwrap()),
        _ => Arc::new(EtcdStore::connect([url]).await.unwrap()),
    };
    let number = given("NUMBER").parse().unwrap();
    let recorder = ProcessRecorder::create(given("TRACE"), &given("NAME"), number).unwrap();
    let locker = Locker::builder(store)
        .observer(Arc::new(recorder))
        .build()
        .unwrap();
    let (end, ended) = tokio::sync::watch::channel(false);
    std::thread::spawn(move || {
        // Until the parent closes it, or is gone.
        let _ = std::io::read_to_string(std::io::stdin());
        let _ = end.send(true);
    });
    let tasks = (0..TASKS).map(|task| {
        let (locker, ended) = (locker.clone(), ended.clone());
        tokio::spawn(async move {
            let stream = TcpStream::connect(given("RESOURCE")).await.unwrap();
            let mut resource = BufReader::new(stream);
            let mut turn = task;
            while !*ended.borrow() {
                let lock = format!("{}-{}", given("PREFIX"), turn % LOCKS);
                turn += 1;
                let guard = locker.lock(&lock).ttl(TTL).acquire().await.unwrap();
                use_it(&mut resource, &lock, &guard).await;
                // A frozen process is told that its lock was lost.
                let _ = guard.release().await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    locker.close().await;
}

/// Claims and, if that is accepted, writes.
async fn use_it(resource: &mut BufReader<TcpStream>, lock: &str, guard: &Guard) {
    for claims in [true, false] {
        let stamp = guard.stamp();
        let asked = json!({
            "resource": lock,
            "by": given("NAME"),
            "attempt": stamp.grant.to_string(),
            "token": stamp.token.value(),
            "claims": claims,
        });
        resource
            .write_all(format!("{asked}\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        resource.read_line(&mut answer).await.unwrap();
        if answer != "true\n" {
            return;
        }
    }
}
