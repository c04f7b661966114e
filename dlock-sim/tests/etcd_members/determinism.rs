use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use dlock_core::runtime::Runtime;
use dlock_core::{Locker, OwnerLabel};
use dlock_etcd::EtcdStore;
use dlock_sim::etcd::{client, serve};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::support::{SECOND, World, run};

type Log = Arc<Mutex<Vec<(u64, u64, Vec<u8>)>>>;

/// Writes down what goes over a connection, and when.
struct Tapped {
    number: u64,
    inner: DuplexStream,
    log: Log,
    world: World,
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        let bytes = buf.filled()[before..].to_vec();
        if !bytes.is_empty() {
            let entry = (self.world.recorder.now_ns(), self.number, bytes);
            self.log.lock().unwrap().push(entry);
        }
        read
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = &written {
            let entry = (
                self.world.recorder.now_ns(),
                self.number + 1_000_000,
                buf[..*count].to_vec(),
            );
            self.log.lock().unwrap().push(entry);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// What went over all connections, and the trace.
type Record = (Vec<(u64, u64, Vec<u8>)>, String);

/// Runs work on three lockers, whose connections begin at different members.
fn record<F: Future<Output = ()>>(work: impl FnOnce(World, Vec<Locker>) -> F) -> Record {
    let result = Arc::new(Mutex::new(None));
    let out = result.clone();
    run(|world| async move {
        let log = Log::default();
        let mut lockers = Vec::new();
        for number in 0..3 {
            let tap = (world.clone(), log.clone());
            let connections = Arc::new(Mutex::new(0));
            let connect = move || {
                let (here, there) = tokio::io::duplex(64 * 1024);
                let (world, log) = tap.clone();
                let mut connections = connections.lock().unwrap();
                *connections += 1;
                let member = (number as usize + *connections) % 3;
                let inner = Tapped {
                    number: number * 1000 + *connections as u64,
                    inner: there,
                    log,
                    world: world.clone(),
                };
                let runtime = world.runtime.clone();
                let serving = serve(
                    world.cluster.clone(),
                    member,
                    inner,
                    format!("client-{number}"),
                    runtime.clone(),
                );
                runtime.spawn(Box::pin(serving));
                async move { Ok(here) }
            };
            let client = client(world.runtime.clone(), connect).await.unwrap();
            let store = EtcdStore::builder()
                .client(client)
                .runtime(world.runtime.clone())
                .lazy()
                .unwrap();
            let locker = Locker::builder(store)
                .runtime(world.runtime.clone())
                .build()
                .unwrap();
            lockers.push(locker);
        }
        work(world.clone(), lockers).await;
        let events = world.recorder.events();
        let text = serde_json::to_string(&events).unwrap();
        *out.lock().unwrap() = Some((std::mem::take(&mut *log.lock().unwrap()), text));
    });
    let mut result = result.lock().unwrap();
    result.take().unwrap()
}

/// They fight for two locks, while the leader changes and a member dies.
fn storm() -> Record {
    record(|world, lockers| async move {
        let work = lockers.iter().map(|locker| async {
            for turn in 0..12 {
                let name = format!("n{}", turn % 2);
                let lock = locker.lock(name.as_str()).ttl(6 * SECOND).wait(5 * SECOND);
                // The default has the process's number.
                let lock = lock.label(OwnerLabel::none());
                if let Ok(guard) = lock.acquire().await {
                    world.sleep(Duration::from_millis(70)).await;
                    let _ = guard.release().await;
                }
            }
        });
        let faults = async {
            world.sleep(SECOND).await;
            world.cluster.change_leader(1);
            world.sleep(3 * SECOND).await;
            world.cluster.crash(2);
            world.sleep(SECOND).await;
            world.cluster.restart(2);
            world.cluster.isolate(0, true);
        };
        futures_util::future::join(futures_util::future::join_all(work), faults).await;
    })
}

/// Each holds many, whose renewals are under way when their streams break.
fn broken_streams() -> Record {
    record(|world, lockers| async move {
        let mut guards = Vec::new();
        for (number, locker) in lockers.iter().enumerate() {
            for name in 0..20 {
                let name = format!("{number}/{name}");
                let lock = locker.lock(name.as_str()).ttl(9 * SECOND);
                let lock = lock.label(OwnerLabel::none());
                guards.push(lock.acquire().await.unwrap());
            }
        }
        for member in [1, 2, 0] {
            world.cluster.freeze(member, true);
            world.sleep(4 * SECOND).await;
            world.cluster.crash(member);
            world.cluster.restart(member);
            world.sleep(2 * SECOND).await;
        }
        drop(guards);
        for locker in &lockers {
            locker.close().await;
        }
    })
}

#[test]
fn every_byte_is_the_same_the_second_time() {
    same_again("storm", storm);
    same_again("broken streams", broken_streams);
}

fn same_again(what: &str, play: fn() -> Record) {
    let (first, second) = (play(), play());
    assert!(first.0.len() > 500, "{} pieces", first.0.len());
    assert!(first.1.contains("authority_begins"));
    for (at, (one, other)) in first.0.iter().zip(&second.0).enumerate() {
        assert_eq!(one, other, "piece {at}");
    }
    assert_eq!(first.0.len(), second.0.len());
    assert_eq!(first.1, second.1);
    // To be compared between processes by hand.
    let digest = first.0.iter().flat_map(|(at, number, bytes)| {
        let head = [at.to_be_bytes(), number.to_be_bytes()].concat();
        head.into_iter().chain(bytes.iter().copied())
    });
    let digest = digest.chain(first.1.bytes()).fold(0u64, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    println!("{what}: {} pieces, digest {digest:016x}", first.0.len());
}
