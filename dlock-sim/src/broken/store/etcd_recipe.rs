//! The recipe of etcd's own `concurrency.Mutex`, a lease for each attempt: put a key, wait until no older one is there.
//! Sound if it looks for its own key after the wait and with each renewal, and takes nobody else's for its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dlock_core::runtime::{Runtime, timeout};
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Expiry, Fairness, Granted, HeldBy, Inspection,
    LockStore, Mode, Place, Release, Released, Renewal, Renewed, StoreError,
};
use dlock_core::{AttemptId, FencingToken, Grant, Instant, LockName};
use dlock_etcd::Connector;
use dlock_etcd::etcd_client::{
    Client, Compare, CompareOp, Error, GetOptions, KeyValue, PutOptions, SortOrder, SortTarget,
    Txn, TxnOp,
};

use super::{Found, OtherClient};
use crate::SimEtcd;
use crate::service::{Service, SimStore};
use crate::stores::etcd::OverTheWorld;
use crate::world::{Machine, SimRuntime, World};

/// The longest that one request may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often a waiter looks, and keeps its lease alive.
const LOOKS: Duration = Duration::from_millis(300);

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing: it looks for its own key, and counts the TTL from the newest keepalive.
    None,
    /// After the wait it believes because nobody older is there.
    BelievesAfterTheWait,
    /// As long as its lease is kept alive it believes, whatever became of the key.
    KeepsLeaseOnly,
    /// An entry with its own label is its own, whichever lease that is under. It keeps its newest lease alive.
    AdoptsByLabel,
}

/// etcd with such clients.
pub(crate) fn recipe(flaw: Flaw) -> OtherClient {
    let real = SimEtcd::cluster();
    let mut capabilities = real.capabilities();
    capabilities.fairness = Fairness::None;
    capabilities.push = false;
    capabilities.loss_notice = None;
    OtherClient {
        capabilities: capabilities.clone(),
        real: Arc::new(real.clone()),
        found: Box::new(move |world: &mut World, verbose| {
            let members = Arc::new(real.found_members(world, verbose));
            let capabilities = capabilities.clone();
            Found {
                service: members.clone() as Arc<dyn Service>,
                connect: Box::new(move |machine: &Arc<Machine>| {
                    Arc::new(Recipe(Arc::new(Inner {
                        way: members.connector(machine),
                        endpoints: members.endpoints(),
                        endpoint: AtomicUsize::new(0),
                        runtime: Arc::new(SimRuntime::of(machine)),
                        client: tokio::sync::Mutex::default(),
                        candidates: Mutex::default(),
                        capabilities: capabilities.clone(),
                        flaw,
                    })))
                }),
            }
        }),
    }
}

struct Recipe(Arc<Inner>);

struct Inner {
    way: OverTheWorld,
    endpoints: Vec<String>,
    endpoint: AtomicUsize,
    runtime: Arc<dyn Runtime>,
    client: tokio::sync::Mutex<Option<Client>>,
    candidates: Mutex<BTreeMap<AttemptId, Candidate>>,
    capabilities: Capabilities,
    flaw: Flaw,
}

/// An attempt of ours with its lease.
#[derive(Clone, Debug)]
struct Candidate {
    lease: i64,
    key: String,
    ttl: Duration,
    /// The creation revision of its key, once it was answered.
    created: Option<i64>,
    /// The newest send that set the lease's end.
    kept: Instant,
}

fn range(name: &LockName) -> String {
    format!("lock/{name}/")
}

fn seconds_of(ttl: Duration) -> Duration {
    Duration::from_secs(ttl.as_secs().max(1))
}

impl Inner {
    /// One request, with a client that is made anew after a failure, for the next member.
    async fn ask<T, F>(&self, request: impl FnOnce(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let until = self.runtime.now() + PATIENCE;
        let asking = async {
            let client = self.client().await?;
            request(client).await
        };
        let answer = timeout(&*self.runtime, until, asking).await;
        let error = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.client.lock().await.take();
        self.endpoint.fetch_add(1, Ordering::Relaxed);
        Err(StoreError::indeterminate(error))
    }

    async fn client(&self) -> Result<Client, Error> {
        let mut slot = self.client.lock().await;
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let index = self.endpoint.load(Ordering::Relaxed) % self.endpoints.len();
        let client = self.way.connect(&self.endpoints[index]).await?;
        *slot = Some(client.clone());
        Ok(client)
    }

    async fn enter(&self, request: &AttemptRequest) -> Result<Candidate, StoreError> {
        let now = self.runtime.now();
        let known = self.candidates().get(&request.id).cloned();
        // Under a lease that may be over nothing can be put.
        let known = known.filter(|own| own.created.is_some() || now < own.kept + own.ttl);
        let mut candidate = match known {
            Some(candidate) => candidate,
            None => {
                let kept = self.runtime.now();
                let lease = self.lease(request).await?;
                Candidate {
                    lease,
                    key: format!("{}{lease:x}", range(&request.name)),
                    ttl: seconds_of(request.ttl),
                    created: None,
                    kept,
                }
            }
        };
        self.candidates().insert(request.id, candidate.clone());
        if candidate.created.is_some() {
            return Ok(candidate);
        }
        let value = format!("dlock1 holding {} {}", request.id.expose(), request.label);
        let key = candidate.key.clone();
        let options = PutOptions::new().with_lease(candidate.lease);
        let txn = Txn::new()
            .when([Compare::create_revision(&*key, CompareOp::Equal, 0)])
            .and_then([TxnOp::put(&*key, value, Some(options))]);
        self.ask(|mut client| async move { client.txn(txn).await })
            .await?;
        let own = self
            .ask(|mut client| async move { client.get(key, None).await })
            .await?;
        candidate.created = own.kvs().first().map(|kv| kv.create_revision());
        if candidate.created.is_none() {
            self.candidates().remove(&request.id);
            return Err(StoreError::unavailable("the new key is gone"));
        }
        self.candidates().insert(request.id, candidate.clone());
        Ok(candidate)
    }

    async fn lease(&self, request: &AttemptRequest) -> Result<i64, StoreError> {
        let seconds = seconds_of(request.ttl).as_secs().cast_signed();
        let lease = self
            .ask(|mut client| async move { client.lease_grant(seconds, None).await })
            .await?;
        Ok(lease.id())
    }

    /// The entry that has our label, as our own from here on.
    async fn adopt(&self, request: &AttemptRequest) -> Result<Option<Candidate>, StoreError> {
        let ours = format!(" {}", request.label);
        let entries = self.entries(&request.name).await?;
        let labelled = |entry: &&KeyValue| entry.value().ends_with(ours.as_bytes());
        let Some(entry) = entries.iter().find(labelled) else {
            return Ok(None);
        };
        let kept = self.runtime.now();
        let candidate = Candidate {
            lease: self.lease(request).await?,
            key: String::from_utf8_lossy(entry.key()).into_owned(),
            ttl: seconds_of(request.ttl),
            created: Some(entry.create_revision()),
            kept,
        };
        self.candidates().insert(request.id, candidate.clone());
        Ok(Some(candidate))
    }

    /// The creation revisions of all keys, oldest first.
    async fn queue(&self, name: &LockName) -> Result<Vec<i64>, StoreError> {
        let entries = self.entries(name).await?;
        Ok(entries.iter().map(KeyValue::create_revision).collect())
    }

    /// Oldest first.
    async fn entries(&self, name: &LockName) -> Result<Vec<KeyValue>, StoreError> {
        let options = GetOptions::new()
            .with_prefix()
            .with_sort(SortTarget::Create, SortOrder::Ascend);
        let range = range(name);
        let mut all = self
            .ask(|mut client| async move { client.get(range, Some(options)).await })
            .await?;
        Ok(all.take_kvs())
    }

    /// `false`: the lease is gone.
    async fn keep_alive(&self, id: AttemptId, lease: i64) -> Result<bool, StoreError> {
        let sent_at = self.runtime.now();
        let asked = self
            .ask(|mut client| async move {
                match client.lease_keep_alive(lease).await {
                    Ok(_) => Ok(true),
                    Err(Error::LeaseKeepAliveError(_)) => Ok(false),
                    Err(error) => Err(error),
                }
            })
            .await?;
        if asked && let Some(candidate) = self.candidates().get_mut(&id) {
            candidate.kept = candidate.kept.max(sent_at);
        }
        Ok(asked)
    }

    async fn leave(&self, id: AttemptId) -> Result<bool, StoreError> {
        let Some(candidate) = self.candidates().get(&id).cloned() else {
            return Ok(false);
        };
        let revoked = self
            .ask(|mut client| async move {
                match client.lease_revoke(candidate.lease).await {
                    Ok(_) => Ok(true),
                    Err(Error::GRpcStatus(status)) if status.code() == tonic::Code::NotFound => {
                        Ok(false)
                    }
                    Err(error) => Err(error),
                }
            })
            .await?;
        self.candidates().remove(&id);
        Ok(revoked)
    }

    async fn renew(&self, renewal: &Renewal) -> Result<Renewed, StoreError> {
        let token = renewal.grant.token.value().cast_signed();
        let known = self.candidates().get(&renewal.grant.id).cloned();
        let Some(own) = known.filter(|own| own.created == Some(token)) else {
            return Ok(Renewed::NotOwner);
        };
        if renewal.ttl > own.ttl {
            return Err(StoreError::unavailable("a lease keeps its TTL"));
        }
        if !self.keep_alive(renewal.grant.id, own.lease).await? {
            return Ok(Renewed::NotOwner);
        }
        if matches!(self.flaw, Flaw::KeepsLeaseOnly | Flaw::AdoptsByLabel) {
            return Ok(Renewed::Until(Expiry::ByThisCall));
        }
        let there = self.queue(&renewal.name).await?.contains(&token);
        Ok(match there {
            true => Renewed::Until(Expiry::ByThisCall),
            false => Renewed::NotOwner,
        })
    }

    fn candidates(&self) -> MutexGuard<'_, BTreeMap<AttemptId, Candidate>> {
        self.candidates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LockStore for Recipe {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities.clone()
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let inner = &self.0;
        let is_new = !inner.candidates().contains_key(&request.id);
        if inner.flaw == Flaw::AdoptsByLabel
            && is_new
            && let Some(adopted) = inner.adopt(request).await?
        {
            return granted(request.id, adopted.created, Expiry::At(adopted.kept));
        }
        let candidate = inner.enter(request).await?;
        let created = candidate.created.unwrap_or_default();
        let queue = inner.queue(&request.name).await?;
        let believes = inner.flaw == Flaw::BelievesAfterTheWait;
        if queue.iter().all(|other| *other >= created) {
            if !believes && !queue.contains(&created) {
                inner.leave(request.id).await?;
                return Err(StoreError::unavailable("the lease ended in the queue"));
            }
            let kept = inner.candidates().get(&request.id).map(|own| own.kept);
            let expiry = match kept {
                Some(kept) if !believes => Expiry::At(kept),
                _ => Expiry::ByThisCall,
            };
            return granted(request.id, candidate.created, expiry);
        }
        let place: Option<Box<dyn Place>> = match request.mode {
            Mode::Try => {
                inner.leave(request.id).await?;
                None
            }
            Mode::Queue => Some(Box::new(Standing {
                inner: inner.clone(),
                id: request.id,
                lease: candidate.lease,
            })),
        };
        Ok(Attempt::Busy {
            held_by: HeldBy::default(),
            place,
        })
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        let mut answers = Vec::new();
        for renewal in batch {
            answers.push(self.0.renew(renewal).await);
        }
        answers
    }

    async fn release(&self, _: &LockName, release: &Release) -> Result<Released, StoreError> {
        let id = match release {
            Release::Grant(grant, _) => grant.id,
            Release::Attempt(id, _) => *id,
        };
        let removed = self.0.leave(id).await?;
        Ok(Released {
            removed,
            settled: true,
        })
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        let queue = self.0.queue(name).await?;
        Ok(queue.first().map(|_| Inspection::default()))
    }

    async fn force_release(&self, _: &LockName) -> Result<bool, StoreError> {
        Err(StoreError::unavailable("this recipe has no such thing"))
    }
}

/// The creation revision is the token.
fn granted(id: AttemptId, created: Option<i64>, expiry: Expiry) -> Result<Attempt, StoreError> {
    let token = created.and_then(|created| FencingToken::new(created.cast_unsigned()));
    let token = token.ok_or_else(|| StoreError::indeterminate("no token"))?;
    let grant = Grant { id, token };
    Ok(Attempt::Granted(Granted { grant, expiry }))
}

/// A waiter's place: its lease is kept alive while it looks.
struct Standing {
    inner: Arc<Inner>,
    id: AttemptId,
    lease: i64,
}

#[async_trait]
impl Place for Standing {
    async fn wait(&mut self) {
        self.inner.runtime.sleep(LOOKS).await;
        let _ = self.inner.keep_alive(self.id, self.lease).await;
    }
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Standing").field(&self.id).finish()
    }
}
