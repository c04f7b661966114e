use std::sync::Arc;

use async_trait::async_trait;
use dlock_core::LockName;
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Inspection, LockStore, Release, Released, Renewal,
    Renewed, StoreError, Watch,
};
use dlock_core::{AttemptId, FencingToken, Grant};

use crate::trace::{CallKind, Kind, Outcome};
use crate::world::{Machine, nanos};

/// A store whose calls and answers are written into the trace.
pub(crate) struct Spy {
    store: Arc<dyn LockStore>,
    machine: Arc<Machine>,
}

impl Spy {
    pub fn new(store: Arc<dyn LockStore>, machine: Arc<Machine>) -> Self {
        Self { store, machine }
    }

    fn call(&self, kind: CallKind, name: &LockName) -> Call<'_> {
        Call {
            machine: &self.machine,
            op: self.machine.recorder().next_op(),
            kind,
            name: name.to_string(),
            attempt: None,
            token: None,
            ttl_ns: None,
        }
    }
}

struct Call<'a> {
    machine: &'a Machine,
    op: u64,
    kind: CallKind,
    name: String,
    attempt: Option<String>,
    token: Option<u64>,
    ttl_ns: Option<u64>,
}

impl<'a> Call<'a> {
    fn of(mut self, id: AttemptId) -> Self {
        // The hash is of the id alone.
        let any = FencingToken::new(1).map(|token| Grant { id, token }.hash().to_string());
        self.attempt = any;
        self
    }

    fn begin(self) -> Open<'a> {
        self.machine.record(Kind::Call {
            op: self.op,
            call: self.kind,
            name: self.name,
            attempt: self.attempt,
            token: self.token,
            ttl_ns: self.ttl_ns,
        });
        Open {
            machine: self.machine,
            op: self.op,
            answered: false,
        }
    }
}

/// A call without an answer yet; dropped, it says so.
struct Open<'a> {
    machine: &'a Machine,
    op: u64,
    answered: bool,
}

impl Open<'_> {
    fn answer(mut self, outcome: Outcome, token: Option<u64>) {
        self.answered = true;
        self.machine.record(Kind::Answer {
            op: self.op,
            outcome,
            token,
        });
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.machine.record(Kind::Answer {
                op: self.op,
                outcome: Outcome::Dropped,
                token: None,
            });
        }
    }
}

fn failed(error: &StoreError) -> Outcome {
    match error {
        StoreError::Unavailable { .. } => Outcome::Unavailable,
        StoreError::Rejected { .. } => Outcome::Rejected,
        _ => Outcome::Indeterminate,
    }
}

#[async_trait]
impl LockStore for Spy {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let mut call = self.call(CallKind::Attempt, &request.name).of(request.id);
        call.ttl_ns = Some(nanos(request.ttl));
        let open = call.begin();
        let answer = self.store.attempt(request).await;
        match &answer {
            Ok(Attempt::Granted(granted)) => {
                open.answer(Outcome::Granted, Some(granted.grant.token.value()));
            }
            Ok(_) => open.answer(Outcome::Busy, None),
            Err(error) => open.answer(failed(error), None),
        }
        answer
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        let open: Vec<_> = batch
            .iter()
            .map(|renewal| {
                let mut call = self
                    .call(CallKind::Renew, &renewal.name)
                    .of(renewal.grant.id);
                call.token = Some(renewal.grant.token.value());
                call.ttl_ns = Some(nanos(renewal.ttl));
                call.begin()
            })
            .collect();
        let answers = self.store.renew(batch).await;
        for (open, answer) in open.into_iter().zip(&answers) {
            let outcome = match answer {
                Ok(Renewed::Until(_)) => Outcome::Renewed,
                Ok(_) => Outcome::NotOwner,
                Err(error) => failed(error),
            };
            open.answer(outcome, None);
        }
        answers
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        let call = self.call(CallKind::Release, name);
        let open = match release {
            Release::Grant(grant, _) => {
                let mut call = call.of(grant.id);
                call.token = Some(grant.token.value());
                call.begin()
            }
            Release::Attempt(id, _) => call.of(*id).begin(),
        };
        let answer = self.store.release(name, release).await;
        open.answer(
            match &answer {
                Ok(Released { removed: true, .. }) => Outcome::Removed,
                Ok(_) => Outcome::Absent,
                Err(error) => failed(error),
            },
            None,
        );
        answer
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        let open = self.call(CallKind::Inspect, name).begin();
        let answer = self.store.inspect(name).await;
        open.answer(answer.as_ref().map_or_else(failed, |_| Outcome::Seen), None);
        answer
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        let open = self.call(CallKind::ForceRelease, name).begin();
        let answer = self.store.force_release(name).await;
        open.answer(
            match &answer {
                Ok(true) => Outcome::Removed,
                Ok(false) => Outcome::Absent,
                Err(error) => failed(error),
            },
            None,
        );
        answer
    }

    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        self.store.watch(name).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
