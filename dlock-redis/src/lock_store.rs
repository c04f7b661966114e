use std::num::NonZeroU64;
use std::time::Duration;

use async_trait::async_trait;
use dlock_core::LockName;
use dlock_core::store::{
    Attempt, AttemptRequest, Capabilities, Inspection, LockStore, Mode, Release, Released, Renewal,
    Renewed, StoreError, Trail,
};

use crate::RedisStore;
use crate::capabilities::{RENEWAL_BATCH, capabilities};
use crate::connection::failure::Meaning;
use crate::connection::{Failure, Session};
use crate::keys::Keys;
use crate::reply::{Answer, ReleaseAnswer};
use crate::trail::{Sending, is_final};
use crate::waiting::{Ask, Carried, Parcel, SharedSending, Turn};
use crate::{reply, scripts};

#[async_trait]
impl LockStore for RedisStore {
    fn capabilities(&self) -> Capabilities {
        capabilities(self.is_pushed())
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let keys = self.keys(&request.name)?;
        if request.mode == Mode::Try {
            let answer = self.ask(&keys, request, None).await?;
            return Ok(answer.into_attempt(None));
        }
        let waiting = self.waiting();
        if let Some(shared) = waiting.landed(&keys.lock, request.id) {
            // Its last call was cut off meanwhile.
            shared.hear().await;
        }
        let (ask, parcel) = match waiting.turn(&keys.lock, request) {
            Turn::Ask(ask, parcel) => (ask, parcel),
            Turn::Wait(held_by) => {
                let place = waiting.place(&keys.lock, request.id);
                return Ok(Attempt::Busy { held_by, place });
            }
        };
        let answer = match parcel {
            Some(parcel) => self.ask_carrying(&keys, request, &ask, parcel).await,
            None => self.ask(&keys, request, Some(&ask)).await,
        };
        match answer {
            Ok(answer) => {
                if matches!(answer, Answer::Busy { .. } | Answer::Reserved { .. }) {
                    self.listen();
                }
                waiting.answered(&keys.lock, request.id, &ask, &answer);
                Ok(answer.into_attempt(waiting.place(&keys.lock, request.id)))
            }
            Err(failure) => {
                waiting.failed(&keys.lock, request.id, &ask, failure.meaning());
                Err(failure.into())
            }
        }
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        let mut results = Vec::with_capacity(batch.len());
        for chunk in batch.chunks(RENEWAL_BATCH) {
            results.extend(self.renew_chunk(chunk).await);
        }
        results
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        let keys = self.keys(name)?;
        let waiting = self.waiting();
        let (id, token, trail, leaving) = match release {
            Release::Grant(grant, trail) => {
                let leaving = waiting.leave(&keys.lock);
                if let Some(posted) = waiting.post(&keys.lock, *grant)
                    && let Some(Carried { flight, session }) = posted.carried().await
                {
                    match session.answer(flight).await {
                        Err(failure) if scripts::is_unknown_script(&failure) => {}
                        answer => {
                            let answer = reply::released(&answer?, true)?;
                            return Ok(self.released(answer, trail, session.generation()));
                        }
                    }
                }
                let token = grant.token.to_string();
                (grant.id, token, trail, leaving)
            }
            Release::Attempt(id, trail) => {
                let parting = waiting.part(&keys.lock, *id);
                if parting.nothing_there && parting.leaving.is_none() {
                    // It only stood in line here.
                    return Ok(Released {
                        removed: true,
                        settled: true,
                    });
                }
                if let Some(shared) = parting.shared {
                    // R3: it may not have been sent yet, and must not come after us.
                    shared.hear().await;
                }
                (*id, String::new(), trail, parting.leaving)
            }
        };
        let session = self.session().await?;
        let arguments = [
            id.expose().into_bytes(),
            token.into_bytes(),
            leaving.unwrap_or_default().into_bytes(),
        ];
        let answer = scripts::RELEASE
            .run(&session, &keys.for_scripts(), &arguments)
            .await;
        let answer = session.understand(answer, |reply| reply::released(reply, false))?;
        Ok(self.released(answer, trail, session.generation()))
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        let keys = self.keys(name)?;
        let session = self.session().await?;
        let names = [&keys.lock, &keys.queue()];
        let answer = scripts::INSPECT.run(&session, &names, NONE).await;
        Ok(session.understand(answer, reply::inspection)?)
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        let keys = self.keys(name)?;
        let session = self.session().await?;
        let names = keys.for_scripts();
        let answer = scripts::FORCE_RELEASE.run(&session, &names, NONE).await;
        Ok(session.understand(answer, reply::removed)?)
    }

    async fn close(&self) {
        self.disconnect();
    }
}

impl RedisStore {
    /// Asks the server once, for an attempt that may queue with what it says of its line.
    async fn ask(
        &self,
        keys: &Keys,
        request: &AttemptRequest,
        ask: Option<&Ask>,
    ) -> Result<Answer, Failure> {
        let session = self.session().await?;
        // R3: on record before it leaves.
        let sending = Sending::over(&request.trail, session.generation());
        let answer = self.ask_over(&session, keys, request, ask).await;
        if !matches!(&answer, Err(failure) if failure.meaning() == Meaning::Indeterminate) {
            sending.settled();
        }
        answer
    }

    /// Asks with a release in the same request: that of the holder, who is of this instance too.
    async fn ask_carrying(
        &self,
        keys: &Keys,
        request: &AttemptRequest,
        ask: &Ask,
        parcel: Parcel,
    ) -> Result<Answer, Failure> {
        let session = self.session().await?;
        let mut arguments = vec![
            parcel.grant.id.expose().into_bytes(),
            parcel.grant.token.to_string().into_bytes(),
            Vec::new(),
        ];
        arguments.extend(self.words(request, Some(ask)));
        // By hash only: what the releaser may send as well is one command.
        let command = scripts::RELEASE.by_hash(&keys.for_scripts(), &arguments);
        let flight = session.share(command);
        let carried = Carried {
            flight: flight.clone(),
            session: session.clone(),
        };
        if !parcel.goes_with(carried.clone()) {
            // It has gone by itself meanwhile.
            return self.ask(keys, request, Some(ask)).await;
        }
        // R3: until it is heard, the releaser may send it at any time.
        let sending = Sending::over(&request.trail, None);
        let shared = SharedSending { carried, sending };
        self.waiting().flies(&keys.lock, request.id, shared);
        let answer = session.answer(flight).await;
        if let Some(shared) = self.waiting().landed(&keys.lock, request.id) {
            shared.heard(&answer);
        }
        let brought = match answer {
            Err(failure) if scripts::is_unknown_script(&failure) => None,
            answer => session.understand(answer, |reply| {
                reply::brought(reply, request.id, request.ttl)
            })?,
        };
        drop(parcel);
        match brought {
            Some(answer) => Ok(answer),
            None => self.ask(keys, request, Some(ask)).await,
        }
    }

    fn released(
        &self,
        answer: ReleaseAnswer,
        trail: &Trail,
        connection: Option<NonZeroU64>,
    ) -> Released {
        if answer.mute {
            self.waiting().mute();
        }
        Released {
            removed: answer.removed,
            settled: is_final(trail, connection),
        }
    }

    async fn ask_over(
        &self,
        session: &Session,
        keys: &Keys,
        request: &AttemptRequest,
        ask: Option<&Ask>,
    ) -> Result<Answer, Failure> {
        let answer = scripts::ATTEMPT
            .run(session, &keys.for_scripts(), &self.words(request, ask))
            .await;
        session.understand(answer, |answer| {
            reply::attempt(answer, request.id, request.ttl)
        })
    }

    /// The arguments of `take` in `take.lua`.
    fn words(&self, request: &AttemptRequest, ask: Option<&Ask>) -> Vec<Vec<u8>> {
        let mut words = vec![
            request.id.expose().into_bytes(),
            millis(request.ttl),
            request.label.as_str().as_bytes().to_vec(),
            millis(self.counter_retention()),
        ];
        if let Some(ask) = ask {
            words.push(ask.entry.clone().into_bytes());
            let flags = [(ask.stays, b's'), (ask.confirmed, b'c')];
            let flags = flags.iter().filter(|(set, _)| *set);
            words.push(flags.map(|(_, flag)| *flag).collect());
        }
        words
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
        let session = self.session().await?;
        let answer = scripts::RENEW.run(&session, &names, &arguments).await;
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

/// No arguments.
const NONE: &[&[u8]] = &[];
