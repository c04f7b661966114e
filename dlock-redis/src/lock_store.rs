use std::time::Duration;

use async_trait::async_trait;
use dlock_core::LockName;
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Inspection, LockStore, Release, Released, Renewal,
    Renewed, StoreError,
};

use crate::RedisStore;
use crate::capabilities::CAPABILITIES;
use crate::connection::failure::Meaning;
use crate::connection::{Failure, Session};
use crate::keys::Keys;
use crate::trail::{Sending, is_final};
use crate::{reply, scripts};

#[async_trait]
impl LockStore for RedisStore {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let keys = self.keys(&request.name)?;
        let session = self.session().await?;
        // R3: on record before it leaves.
        let sending = Sending::over(&request.trail, session.generation());
        let answer = self.ask_for(&session, &keys, request).await;
        if !matches!(&answer, Err(failure) if failure.meaning() == Meaning::Indeterminate) {
            sending.settled();
        }
        Ok(answer?)
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        let mut results = Vec::with_capacity(batch.len());
        for chunk in batch.chunks(CAPABILITIES.renewal_batch) {
            results.extend(self.renew_chunk(chunk).await);
        }
        results
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        let keys = self.keys(name)?;
        let (id, token, trail) = match release {
            Release::Grant(grant, trail) => (grant.id, grant.token.to_string(), trail),
            Release::Attempt(id, trail) => (*id, String::new(), trail),
        };
        let session = self.session().await?;
        let arguments = [id.expose().into_bytes(), token.into_bytes()];
        let answer = scripts::RELEASE
            .run(&session, &[&keys.lock], &slices(&arguments))
            .await;
        let removed = session.understand(answer, reply::removed)?;
        Ok(Released {
            removed,
            settled: is_final(trail, session.generation()),
        })
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        let keys = self.keys(name)?;
        let session = self.session().await?;
        let answer = scripts::INSPECT.run(&session, &[&keys.lock], &[]).await;
        Ok(session.understand(answer, reply::inspection)?)
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        let keys = self.keys(name)?;
        let session = self.session().await?;
        let answer = scripts::FORCE_RELEASE
            .run(&session, &[&keys.lock], &[])
            .await;
        Ok(session.understand(answer, reply::removed)?)
    }

    async fn close(&self) {
        self.disconnect();
    }
}

impl RedisStore {
    async fn ask_for(
        &self,
        session: &Session,
        keys: &Keys,
        request: &AttemptRequest,
    ) -> Result<Attempt, Failure> {
        let arguments = [
            request.id.expose().into_bytes(),
            millis(request.ttl),
            request.label.as_str().as_bytes().to_vec(),
            millis(self.counter_retention()),
        ];
        let answer = scripts::ATTEMPT
            .run(session, &[&keys.lock, &keys.counter()], &slices(&arguments))
            .await;
        session.understand(answer, |answer| reply::attempt(answer, request.id))
    }

    /// One script for as many leases as one script takes; each has an answer of its own.
    async fn renew_chunk(&self, chunk: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        let keys: Vec<_> = chunk
            .iter()
            .map(|renewal| self.keys(&renewal.name))
            .collect();
        let sent: Vec<_> = chunk
            .iter()
            .zip(&keys)
            .filter_map(|(renewal, keys)| Some((renewal, keys.as_ref().ok()?)))
            .collect();
        let mut answers = self.renew_all(&sent).await.map(Vec::into_iter);
        keys.into_iter()
            .map(|keys| {
                keys?;
                match &mut answers {
                    Ok(answers) => match answers.next().flatten() {
                        Some(renewed) => Ok(renewed),
                        None => Err(StoreError::rejected(
                            "the lock key holds another type than a string: somebody has replaced the lock",
                        )),
                    },
                    Err(failure) => Err(failure.clone().into()),
                }
            })
            .collect()
    }

    async fn renew_all(
        &self,
        leases: &[(&Renewal, &Keys)],
    ) -> Result<Vec<Option<Renewed>>, Failure> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let mut names = Vec::with_capacity(2 * leases.len());
        let mut arguments = vec![millis(self.counter_retention())];
        for (renewal, keys) in leases {
            names.extend([keys.lock.clone(), keys.counter()]);
            let grant = &renewal.grant;
            arguments.extend([
                grant.id.expose().into_bytes(),
                grant.token.to_string().into_bytes(),
                millis(renewal.ttl),
            ]);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let session = self.session().await?;
        let answer = scripts::RENEW
            .run(&session, &names, &slices(&arguments))
            .await;
        session.understand(answer, |answer| reply::renewals(answer, leases.len()))
    }
}

/// Whole milliseconds, rounded up, as the scripts take them.
fn millis(duration: Duration) -> Vec<u8> {
    duration
        .as_nanos()
        .div_ceil(1_000_000)
        .max(1)
        .to_string()
        .into_bytes()
}

fn slices(arguments: &[Vec<u8>]) -> Vec<&[u8]> {
    arguments.iter().map(Vec::as_slice).collect()
}
