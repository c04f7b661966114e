//! What an observer hears.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // Helpers of tests do as tests do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dlock_core::conformance::VirtualRuntime;
use dlock_core::{Locker, MemoryStore, Observation, Observer};

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn observe(&self, observation: Observation<'_>) {
        let word = match observation {
            Observation::Acquiring {
                acquisition,
                trying,
                ..
            } => format!("{acquisition} acquiring trying={trying}"),
            Observation::Granted {
                acquisition, ttl, ..
            } => format!("{acquisition} granted {ttl:?}"),
            Observation::NotGranted {
                acquisition, error, ..
            } => format!("{acquisition} not granted error={}", error.is_some()),
            Observation::Abandoned { acquisition, .. } => format!("{acquisition} abandoned"),
            Observation::Extended { .. } => "extended".to_owned(),
            Observation::Ended { how, .. } => format!("ended {how:?}"),
            _ => "something new".to_owned(),
        };
        self.0.lock().unwrap().push(word);
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_hears_of_every_acquisition_and_every_lease() {
    let runtime = Arc::new(VirtualRuntime::new(1));
    let heard = Arc::new(Heard::default());
    let locker = Locker::builder(MemoryStore::with_runtime(runtime.clone()))
        .runtime(runtime)
        .observer(heard.clone())
        .build()
        .unwrap();
    let ttl = Duration::from_secs(10);

    let guard = locker.lock("a").ttl(ttl).acquire().await.unwrap();
    guard.extend(2 * ttl).await.unwrap();
    assert!(locker.lock("a").try_acquire().await.unwrap().is_none());
    let waiting = locker.lock("a").acquire();
    assert!(
        tokio::time::timeout(Duration::from_millis(1), waiting)
            .await
            .is_err()
    );
    guard.release().await.unwrap();
    let lost = locker.lock("a").auto_renew(false).acquire().await.unwrap();
    locker.force_release("a").await.unwrap();
    lost.ended().await;

    assert_eq!(
        *heard.0.lock().unwrap(),
        [
            "0 acquiring trying=false",
            "0 granted 10s",
            "extended",
            "1 acquiring trying=true",
            "1 not granted error=false",
            "2 acquiring trying=false",
            "2 abandoned",
            "ended Released",
            "3 acquiring trying=false",
            "3 granted 30s",
            "ended Lost(NotOwner)",
        ]
    );
}
