use std::time::Duration;

use dlock_core::runtime::timeout;
use serde_json::json;

use crate::client::{Resource, SimClient};

/// The sweep's work: one acquisition in one of the ways in which people use a lock, chosen by the seed.
pub(crate) async fn sweep(client: SimClient) {
    let names = client.lock_names();
    let Some(name) = names.get(client.random_below(names.len() as u64) as usize) else {
        return;
    };
    let name = name.clone();
    let lock = client.locker().lock(&name).ttl(client.ttl());
    match client.random_below(11) {
        // Somebody who has no time to wait, …
        0 => {
            if let Ok(Some(guard)) = lock.try_acquire().await {
                work(&client, &guard, &name).await;
                let _ = guard.release().await;
            }
        }
        // … who gives up, …
        1 => {
            let patience = Duration::from_millis(client.random_below(300));
            let runtime = client.runtime();
            let until = runtime.now() + patience;
            let acquired = timeout(&*runtime, until, lock.acquire()).await;
            if let Ok(Ok(guard)) = acquired {
                work(&client, &guard, &name).await;
            }
        }
        // … who forgets to release, …
        2 => {
            if let Ok(guard) = lock.wait(Duration::from_secs(3)).acquire().await {
                work(&client, &guard, &name).await;
                drop(guard);
            }
        }
        // … who needs longer, …
        3 => {
            if let Ok(guard) = lock.acquire().await {
                let _ = guard.extend(2 * client.ttl()).await;
                work(&client, &guard, &name).await;
                let _ = guard.release().await;
            }
        }
        // … the scoped form, …
        4 => {
            let body = async |lease: dlock_core::Lease| {
                work_with(&client, &lease, &name).await;
                Ok::<(), std::convert::Infallible>(())
            };
            let _ = lock.run(body).await;
        }
        // … two in one process, …
        5 => {
            let patience = Duration::from_secs(5);
            let asks = async || {
                if let Ok(guard) = lock.clone().wait(patience).acquire().await {
                    work(&client, &guard, &name).await;
                    let _ = guard.release().await;
                }
            };
            let later = async {
                client
                    .sleep(Duration::from_millis(client.random_below(50)))
                    .await;
                asks().await;
            };
            futures_util::future::join(asks(), later).await;
        }
        // … and everybody else.
        _ => {
            if let Ok(guard) = lock.acquire().await {
                work(&client, &guard, &name).await;
                let _ = guard.release().await;
            }
        }
    }
}

async fn work(client: &SimClient, guard: &dlock_core::Guard, name: &str) {
    work_with(client, &guard.lease(), name).await;
}

/// Read, think, check, write.
async fn work_with(client: &SimClient, lease: &dlock_core::Lease, name: &str) {
    let resource: Resource = client.resource(name);
    let Ok(old) = resource.claim(lease).await else {
        return;
    };
    let think = match client.random_below(8) {
        0 => client.random_below(client.ttl().as_millis() as u64),
        _ => client.random_below(30),
    };
    client.sleep(Duration::from_millis(think)).await;
    if lease.check().is_err() {
        return;
    }
    client.safe_point("before-write").await;
    let next = old.as_u64().unwrap_or(0) + 1;
    let _ = resource.write(lease, json!(next)).await;
}
