use std::collections::VecDeque;
use std::pin::Pin;

use dlock_core::runtime::{Race, race};
use etcd_client::proto::{PbWatchRequest, PbWatchRequestUnion, PbWatchResponse, PbWatchService};
use futures_util::{Stream, stream};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::Services;
use super::watchers::{Watch, Watchers};
use crate::etcd::cluster::unless;
use crate::etcd::engine::EtcdError;

#[async_trait]
impl PbWatchService for Services {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<PbWatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<PbWatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let wants_leader = self.admit(&request, "Watch")?;
        let watching = Watching {
            services: self.clone(),
            requests: Some(request.into_inner()),
            watchers: Watchers::default(),
            outbox: VecDeque::new(),
            wants_leader,
            ended: false,
        };
        let answers = stream::unfold(watching, |mut watching| async move {
            let answer = watching.next().await?;
            watching.ended = answer.is_err();
            Some((answer, watching))
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// A stream of watchers.
struct Watching {
    services: Services,
    /// None: the client will ask for nothing more.
    requests: Option<Streaming<PbWatchRequest>>,
    watchers: Watchers,
    outbox: VecDeque<PbWatchResponse>,
    wants_leader: bool,
    ended: bool,
}

impl Watching {
    async fn next(&mut self) -> Option<Result<PbWatchResponse, Status>> {
        if self.ended {
            return None;
        }
        if !self.wants_leader {
            return self.answer().await;
        }
        let requests = self.services.requests.clone();
        let answered = unless(requests.leader_lost(), self.answer()).await;
        answered.unwrap_or_else(|| Some(Err(EtcdError::NoLeader.into())))
    }

    async fn answer(&mut self) -> Option<Result<PbWatchResponse, Status>> {
        let member = self.services.requests.clone();
        loop {
            if let Some(response) = self.outbox.pop_front() {
                return Some(Ok(response));
            }
            let change = member.next_change();
            self.outbox.extend(self.watchers.events(&member));
            if !self.outbox.is_empty() {
                continue;
            }
            let catch_up_at = self.watchers.next_catch_up();
            let later = async {
                match catch_up_at {
                    Some(at) => {
                        race(change, member.until(at)).await;
                    }
                    None => change.await,
                }
            };
            let asked = async {
                match &mut self.requests {
                    Some(requests) => requests.message().await,
                    None => std::future::pending().await,
                }
            };
            match race(asked, later).await {
                Race::First(Ok(Some(request))) => self.take(request),
                // etcd goes on telling.
                Race::First(Ok(None)) => self.requests = None,
                Race::First(Err(status)) => return Some(Err(status)),
                Race::Second(()) => {}
            }
        }
    }

    fn take(&mut self, request: PbWatchRequest) {
        let requests = &self.services.requests;
        // What was before comes before.
        self.outbox.extend(self.watchers.events(requests));
        let note = |what: &'static str| {
            let noted = || what.to_owned();
            requests
                .cluster
                .note(requests.member, &requests.peer, noted);
        };
        match request.request_union {
            Some(PbWatchRequestUnion::CreateRequest(create)) => {
                note("Watch create");
                let watch = Watch {
                    key: create.key,
                    range_end: create.range_end,
                    start_revision: create.start_revision,
                    id: create.watch_id,
                    prev_kv: create.prev_kv,
                    filters: create.filters,
                };
                let response = self.watchers.create(requests, watch);
                self.outbox.push_back(response);
            }
            Some(PbWatchRequestUnion::CancelRequest(cancel)) => {
                note("Watch cancel");
                let response = self.watchers.cancel(requests, cancel.watch_id);
                self.outbox.extend(response);
            }
            Some(PbWatchRequestUnion::ProgressRequest(_)) => {
                self.outbox.push_back(Watchers::progress(requests));
            }
            None => {}
        }
    }
}
