use std::time::Duration;

use dlock_core::LockName;
use dlock_core::runtime::timeout;
use serde_json::json;

use super::{Flaw, Naive, NaiveGuard};
use crate::client::SimClient;

/// One acquisition in one of the ways in which people use a lock, as the sweep does it.
pub(crate) async fn work(client: SimClient, flaw: Flaw) {
    let names = client.lock_names();
    let index = client.random_below(names.len() as u64) as usize;
    let Some(Ok(name)) = names.get(index).map(LockName::new) else {
        return;
    };
    let naive = Naive::new(client.clone(), flaw);
    let way = client.random_below(10);
    let guard = if way < 2 {
        // Who gives up.
        let runtime = client.runtime();
        let until = runtime.now() + Duration::from_millis(client.random_below(300));
        timeout(&*runtime, until, naive.acquire(&name)).await.ok()
    } else {
        Some(naive.acquire(&name).await)
    };
    let Some(Some(guard)) = guard else {
        return;
    };
    critical(&client, &guard, flaw).await;
    if way == 2 {
        // Who forgets to release.
        drop(guard);
    } else {
        guard.release();
    }
}

/// Read, think, check, write.
async fn critical(client: &SimClient, guard: &NaiveGuard, flaw: Flaw) {
    let data = client.resource(guard.name().as_str());
    let late = flaw == Flaw::FenceAtWrite;
    let old = match late {
        true => data.read_unfenced().await,
        false => data.claim(guard).await,
    };
    let Ok(old) = old else {
        return;
    };
    let think = match client.random_below(8) {
        0 => client.random_below(2 * client.ttl().as_millis() as u64),
        _ => client.random_below(60),
    };
    client.sleep(Duration::from_millis(think)).await;
    if !guard.check() {
        return;
    }
    client.safe_point("before-write").await;
    if late && data.claim(guard).await.is_err() {
        return;
    }
    let next = old.as_u64().unwrap_or(0) + 1;
    let _ = data.write(guard, json!(next)).await;
}
