//! What one member says when the leader has died, and then when all others have.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dlock_core::runtime::Runtime;
use dlock_sim::etcd::EtcdCluster;
use etcd_client::{Client, ConnectOptions, Error, GetOptions};
use futures_util::future::join5;

use super::expiry::Watch;
use super::server::Server;

pub const GIVEN_UP: usize = 8;

/// Three members that can be killed.
#[async_trait]
pub trait Members {
    async fn client(&self, member: usize) -> Client;
    async fn leader(&self) -> usize;
    fn kill(&self, member: usize);
    fn freeze(&self, member: usize, frozen: bool);
}

pub struct Real<'a> {
    pub servers: &'a [Server],
}

#[async_trait]
impl Members for Real<'_> {
    async fn client(&self, member: usize) -> Client {
        let options = ConnectOptions::new().with_require_leader(true);
        let client = Client::connect([&self.servers[member].endpoint], Some(options)).await;
        client.expect("a connection")
    }

    async fn leader(&self) -> usize {
        for (at, _) in self.servers.iter().enumerate() {
            let Ok(status) = self.client(at).await.status().await else {
                continue;
            };
            if status.leader() == status.header().expect("a header").member_id() {
                return at;
            }
        }
        panic!("nobody leads")
    }

    fn kill(&self, member: usize) {
        self.servers[member].signal("KILL");
    }

    fn freeze(&self, member: usize, frozen: bool) {
        self.servers[member].signal(if frozen { "STOP" } else { "CONT" });
    }
}

pub struct Simulated {
    pub cluster: EtcdCluster,
    pub runtime: Arc<dyn Runtime>,
}

#[async_trait]
impl Members for Simulated {
    async fn client(&self, member: usize) -> Client {
        super::connect(&self.cluster, member, &self.runtime).await
    }

    async fn leader(&self) -> usize {
        self.cluster.leader().expect("a leader")
    }

    fn kill(&self, member: usize) {
        self.cluster.crash(member);
    }

    fn freeze(&self, member: usize, frozen: bool) {
        self.cluster.freeze(member, frozen);
    }
}

/// Kills the leader, then one of the other two; the last one tells: the new leader, or its follower.
pub async fn lose(members: &dyn Members, time: &dyn Watch, the_leader: bool) -> Vec<String> {
    let leader = members.leader().await;
    let member = (leader + 1) % 3;
    let client = members.client(member).await;
    let mut kv = client.kv_client();
    kv.put("k", "", None).await.expect("a put");
    let lease = client
        .lease_client()
        .grant(60, None)
        .await
        .expect("a lease")
        .id();
    let mut seen = Vec::new();

    members.kill(leader);
    seen.extend(ask_a_dead_leader(&client, time).await);
    let again = took(time, kv.put("k", "", None)).await;
    seen.push(format!("put again: {again}"));

    let new_leader = members.leader().await;
    let follower = 3 - leader - new_leader;
    let (last, next) = if the_leader {
        (new_leader, follower)
    } else {
        (follower, new_leader)
    };
    let client = members.client(last).await;
    let mut kv = client.kv_client();

    let mut watching = client.watch_client();
    let watch = watching.watch("k", None).await.expect("a stream");
    let (_watch_sender, mut watch) = watch.split();
    watch.message().await.expect("a stream");
    let mut leases = client.lease_client();
    let (mut keeper, mut keeping) = leases.keep_alive(lease).await.expect("a stream");
    members.kill(next);
    let (mut put, mut get, mut stale) = (kv.clone(), kv.clone(), kv.clone());
    let serializable = GetOptions::new().with_serializable();
    let keep = async {
        keeper.keep_alive().await?;
        keeping.message().await.map(|_| ())
    };
    let (put, get, stale, watch, keep) = join5(
        took(time, put.put("k", "", None)),
        took(time, get.get("k", None)),
        took(time, stale.get("k", Some(serializable.clone()))),
        took(time, watch.message()),
        took(time, keep),
    )
    .await;
    seen.push(format!("put: {put}"));
    seen.push(format!("get: {get}"));
    seen.push(format!("stale get: {stale}"));
    seen.push(format!("watch: {watch}"));
    seen.push(format!("keepalive: {keep}"));
    let put = took(time, kv.put("k", "", None)).await;
    seen.push(format!("later put: {put}"));
    let stale = took(time, kv.get("k", Some(serializable))).await;
    seen.push(format!("later stale get: {stale}"));
    let keep = took(time, client.lease_client().keep_alive(lease)).await;
    seen.push(format!("later keepalive: {keep}"));
    seen
}

async fn ask_a_dead_leader(client: &Client, time: &dyn Watch) -> Vec<String> {
    let (mut put, mut get) = (client.kv_client(), client.kv_client());
    let later = Duration::from_millis(200);
    let get = async {
        tokio::time::sleep(later).await;
        // The election may come soon after: how long it takes from here says nothing.
        outcome(get.get("k", None)).await
    };
    let put = async {
        tokio::time::sleep(later).await;
        took(time, put.put("k", "", None)).await
    };
    let (get, put) = futures_util::future::join(get, put).await;
    vec![
        format!("get, leader dead: {get}"),
        format!("put, leader dead: {put}"),
    ]
}

/// Requests are given up while their member is stopped: how many are carried out all the same when it goes on.
pub async fn give_up(members: &dyn Members) -> usize {
    let member = (members.leader().await + 1) % 3;
    let client = members.client(member).await;
    let mut kv = client.kv_client();
    let mut carried_out = 0;
    for turn in 0..GIVEN_UP {
        kv.put("given up", "", None).await.expect("a put");
        members.freeze(member, true);
        // Its threads do not all stop at once.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let put = kv.put("given up", format!("{turn}"), None);
        let given_up = tokio::time::timeout(Duration::from_millis(300), put).await;
        assert!(given_up.is_err(), "a stopped member has answered");
        members.freeze(member, false);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let read = kv.get("given up", None).await.expect("a read");
        carried_out += usize::from(!read.kvs()[0].value().is_empty());
    }
    carried_out
}

/// The outcome, and about how long it took.
async fn took<T>(time: &dyn Watch, future: impl Future<Output = Result<T, Error>>) -> String {
    let began = time.now();
    let outcome = outcome(future).await;
    let took = match (time.now() - began).as_secs_f64() {
        ..0.6 => "at once",
        0.6..6.3 => "after elections",
        _ => "after a request timeout",
    };
    format!("{outcome} {took}")
}

async fn outcome<T>(future: impl Future<Output = Result<T, Error>>) -> String {
    let outcome = match future.await {
        Ok(_) => "ok".to_owned(),
        Err(Error::GRpcStatus(status)) => format!("{:?}: {}", status.code(), status.message()),
        Err(other) => other.to_string(),
    };
    // Whether it says more depends on who was elected.
    let first = outcome.split(", possibly").next();
    first.unwrap_or_default().to_owned()
}
