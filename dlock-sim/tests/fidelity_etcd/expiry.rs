//! Leases that end by themselves: each on its own, many at once.

use std::time::{Duration, Instant};

use dlock_core::runtime::Runtime;
use etcd_client::{
    Client, Error, EventType, GetOptions, LeaseTimeToLiveOptions, PutOptions, WatchOptions,
};
use futures_util::future::join_all;

/// How many leases.
const LEASES: usize = 40;
/// A leader looks every 500 ms; the rest is a busy machine.
const LATE: Duration = Duration::from_millis(1500);

/// A clock that goes with the etcd: real or virtual.
pub trait Watch: Sync {
    fn now(&self) -> Duration;
}

pub struct RealTime(pub Instant);

impl Watch for RealTime {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

pub struct VirtualTime(pub std::sync::Arc<dyn Runtime>);

impl Watch for VirtualTime {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.now().as_nanos())
    }
}

/// What is seen of each lease until it has ended.
pub async fn end_leases(client: &Client, time: &dyn Watch) -> Vec<Vec<String>> {
    join_all((0..LEASES).map(|number| end_lease(client.clone(), time, number))).await
}

async fn end_lease(mut client: Client, time: &dyn Watch, number: usize) -> Vec<String> {
    let prefix = format!("expiry/{number:03}/");
    let mut seen = Vec::new();
    let watch = WatchOptions::new().with_prefix().with_prev_key();
    let stream = client.watch(prefix.as_str(), Some(watch)).await;
    let (_sender, mut stream) = stream.expect("a stream").split();
    let created = stream
        .message()
        .await
        .expect("a stream")
        .expect("an answer");
    assert!(created.created());

    let mut renewed = time.now();
    let granted = client.lease_grant(1 + number as i64 % 3, None).await;
    let granted = granted.expect("a lease");
    let (id, ttl) = (granted.id(), Duration::from_secs(granted.ttl() as u64));
    seen.push(format!("granted for {ttl:?}"));
    let keys = 1 + number / 3 % 4;
    let under = || PutOptions::new().with_lease(id);
    for key in (0..keys).rev() {
        let put = client
            .put(format!("{prefix}{key}"), "", Some(under()))
            .await;
        put.expect("a put");
    }
    if number.is_multiple_of(5) {
        // It does not end with the lease.
        client
            .put(format!("{prefix}0"), "kept", None)
            .await
            .expect("a put");
        client
            .put(format!("{prefix}9"), "", Some(under()))
            .await
            .expect("a put");
    }
    if number.is_multiple_of(2) {
        tokio::time::sleep(ttl / 2).await;
        renewed = time.now();
        let kept = client.lease_keep_alive(id).await;
        seen.push(format!("renewed: {}", kept.is_ok()));
    }

    let mut deleted = Vec::new();
    while deleted.is_empty() {
        let told = stream
            .message()
            .await
            .expect("a stream")
            .expect("an answer");
        let events = told.events().iter();
        for event in events.filter(|event| event.event_type() == EventType::Delete) {
            let (kv, before) = (event.kv().expect("a key"), event.prev_kv());
            assert_eq!(
                kv.mod_revision(),
                told.header().expect("a header").revision()
            );
            assert_eq!(before.map(|before| before.lease()), Some(id));
            deleted.push(kv.key_str().expect("text").to_owned());
        }
    }
    let lasted = time.now() - renewed;
    let in_time = lasted >= ttl - Duration::from_millis(20) && lasted <= ttl + LATE;
    seen.push(format!("ended in time: {in_time}"));
    seen.push(format!("all at once: {deleted:?}"));

    let options = LeaseTimeToLiveOptions::new().with_keys();
    let left = client.lease_time_to_live(id, Some(options)).await;
    let left = left.expect("an answer");
    seen.push(format!("left: {} of {}", left.ttl(), left.granted_ttl()));
    let refusal = |error: Error| match error {
        Error::GRpcStatus(status) => format!("{:?}: {}", status.code(), status.message()),
        other => other.to_string(),
    };
    let kept = client.lease_keep_alive(id).await.map(|_| ());
    seen.push(format!("keepalive: {:?}", kept.map_err(refusal)));
    let put = client.put(format!("{prefix}0"), "", Some(under())).await;
    seen.push(format!("put: {:?}", put.map(|_| ()).map_err(refusal)));
    let rest = client
        .get(prefix, Some(GetOptions::new().with_prefix()))
        .await;
    let rest = rest.expect("an answer");
    let rest: Vec<_> = rest
        .kvs()
        .iter()
        .map(|kv| kv.key_str().expect("text").to_owned())
        .collect();
    seen.push(format!("rest: {rest:?}"));
    seen
}
