use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dlock_core::fence::{Fence, FenceError, Stamp};
use dlock_core::{FencingToken, GrantHash};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::own::OwnResources;
use crate::trace::{Kind, Role, StorageAccess};
use crate::world::{Listener, Machine, SimRuntime, World};
use dlock_core::runtime::Runtime;

/// The name of the machine with the protected resources.
pub(crate) const STORAGE: &str = "storage";

pub(crate) const PORT: u16 = 7000;

/// Where the resources of the code under test are.
pub(crate) const OWN_PORT: u16 = 7001;

/// What a client asks of a resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub resource: String,
    pub access: StorageAccess,
    /// On whose behalf.
    pub token: Option<u64>,
    pub attempt: Option<String>,
    /// Whether the fence looks at that.
    pub fenced: bool,
    pub value: Value,
}

/// What the resource says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub refusal: Option<Refusal>,
    pub newest: Option<u64>,
    pub value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    Stale,
    Unclaimed,
    Nonsense,
}

#[derive(Default)]
struct Data {
    fence: Fence,
    value: Value,
}

/// Puts the machine with the protected resources into a world: ours, and those of the code under test. Its data are on
/// a disk that never fails.
pub(crate) fn found_storage(world: &mut World, own: &OwnResources) {
    let machine = world.machine(STORAGE, Role::Storage);
    let data: Arc<Mutex<BTreeMap<String, Data>>> = Arc::default();
    let own = own.found();
    let here = machine.clone();
    world.run(&machine, move || {
        let (machine, data, own) = (here.clone(), data.clone(), own.clone());
        async move {
            if let Some(own) = own {
                let runtime = SimRuntime::of(&machine);
                let here = machine.clone();
                let serve = move |peer: &str, line: &str| own.serve(&here, peer, line);
                runtime.spawn(Box::pin(listen(machine.clone(), OWN_PORT, serve)));
            }
            let here = machine.clone();
            let serve = move |peer: &str, line: &str| {
                let request = serde_json::from_str::<Request>(line).ok()?;
                serde_json::to_vec(&serve(&here, &data, peer, request)).ok()
            };
            listen(machine, PORT, serve).await;
        }
    });
}

/// Answers each line of each connection; closes it where there is no answer.
async fn listen(
    machine: Arc<Machine>,
    port: u16,
    serve: impl Fn(&str, &str) -> Option<Vec<u8>> + Send + Sync + 'static,
) {
    let Ok(listener) = Listener::bind(port).await else {
        return;
    };
    let serve = Arc::new(serve);
    let runtime = SimRuntime::of(&machine);
    while let Ok((stream, peer)) = listener.accept().await {
        let serve = serve.clone();
        runtime.spawn(Box::pin(async move {
            let (reader, mut writer) = tokio::io::split(stream);
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let Some(mut reply) = serve(&peer, &line) else {
                    return;
                };
                reply.push(b'\n');
                if writer.write_all(&reply).await.is_err() {
                    return;
                }
            }
        }));
    }
}

fn serve(
    machine: &Machine,
    data: &Mutex<BTreeMap<String, Data>>,
    peer: &str,
    request: Request,
) -> Reply {
    let mut all = data.lock().unwrap_or_else(PoisonError::into_inner);
    let data = all.entry(request.resource.clone()).or_default();
    let refusal = match (request.fenced, stamp(&request)) {
        (false, _) => None,
        (true, None) => Some(Refusal::Nonsense),
        (true, Some(stamp)) => {
            let answer = match request.access {
                StorageAccess::Claim => data.fence.claim(&stamp),
                StorageAccess::Read | StorageAccess::Write => data.fence.admit(&stamp),
            };
            answer.err().map(|error| match error {
                FenceError::Unclaimed { .. } => Refusal::Unclaimed,
                _ => Refusal::Stale,
            })
        }
    };
    let accepted = refusal.is_none();
    if accepted && request.access == StorageAccess::Write {
        data.value = request.value.clone();
    }
    let newest = data.fence.newest().map(|stamp| stamp.token.value());
    let value = match request.access {
        StorageAccess::Write => request.value.clone(),
        _ => data.value.clone(),
    };
    let reply = Reply {
        refusal,
        newest,
        value: if accepted { value.clone() } else { Value::Null },
    };
    drop(all);
    machine.record(Kind::Storage {
        resource: request.resource,
        access: request.access,
        by: peer.to_owned(),
        attempt: request.attempt,
        token: request.token,
        fenced: request.fenced,
        accepted,
        newest,
        value,
    });
    reply
}

fn stamp(request: &Request) -> Option<Stamp> {
    Some(Stamp {
        token: FencingToken::new(request.token?)?,
        grant: GrantHash::parse(request.attempt.as_deref()?)?,
    })
}
