use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use dlock_core::fence::{Fenced, Stamped};
use dlock_core::store::{AttemptRequest, LockStore, Mode, Release, Renewal, Trail};
use dlock_core::{LockName, MemoryStore};
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{Call, Fault, SECOND, World};

#[tokio::test(start_paused = true)]
async fn r14_no_debug_display_error_or_trace_shows_an_attempt_id() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    let world = World::new();
    let locker = world.locker();
    let guard = locker.lock("a").ttl(3 * SECOND).acquire().await.unwrap();
    let grant = guard.grant();
    let mut shown = String::new();
    write!(
        shown,
        "{locker:?} {guard:?} {:?} {} {grant:?} {:?}",
        guard.id(),
        guard.id(),
        guard.stamp()
    )
    .unwrap();
    let name = LockName::new("a").unwrap();
    let request = AttemptRequest::new(name.clone(), grant.id, SECOND, Mode::Queue);
    let place = world
        .store
        .attempt(&AttemptRequest::new(
            name.clone(),
            grant.id,
            SECOND,
            Mode::Queue,
        ))
        .await;
    let renewal = Renewal::new(name, grant, SECOND);
    write!(
        shown,
        "{request:?} {place:?} {renewal:?} {:?}",
        Release::Grant(grant, Trail::default())
    )
    .unwrap();
    write!(
        shown,
        "{:?} {:?}",
        world.other().inspect("a").await,
        MemoryStore::new()
    )
    .unwrap();
    let fenced = Fenced::new(0);
    fenced.claim(&guard).unwrap();
    write!(shown, "{fenced:?}").unwrap();
    // A failing renewal, a loss, a late release, a background release.
    world.faulty.always(Call::Renew, Fault::RequestLost);
    world.faulty.next(Call::Release, [Fault::ReplyLost]);
    write!(shown, "{:?}", guard.ended().await).unwrap();
    write!(shown, "{:?}", guard.check()).unwrap();
    write!(shown, "{:?}", guard.release().await).unwrap();
    world.pass(SECOND).await;
    let logged = log.text();
    assert!(
        logged.contains("lock lost") && logged.contains("acquired"),
        "{logged}"
    );
    let whole = grant.id.expose();
    let decimal = u128::from_str_radix(&whole, 16).unwrap().to_string();
    for secret in [&whole[..], &whole[8..], &decimal[..]] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!logged.contains(secret), "{logged}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
