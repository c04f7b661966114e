use std::pin::Pin;

use etcd_client::proto::{
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse,
    PbLeaseLeasesRequest, PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse,
    PbLeaseService, PbLeaseStatus, PbLeaseTimeToLiveRequest, PbLeaseTimeToLiveResponse,
};
use futures_util::{Stream, stream};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::Services;
use super::kv::unexpected;
use crate::etcd::cluster::unless;
use crate::etcd::engine::{Applied, EtcdError, Proposal};

#[async_trait]
impl PbLeaseService for Services {
    async fn lease_grant(
        &self,
        request: Request<PbLeaseGrantRequest>,
    ) -> Result<Response<PbLeaseGrantResponse>, Status> {
        self.admit(&request, "LeaseGrant")?;
        let mut request = request.into_inner();
        if request.id == 0 {
            request.id = self.requests.new_lease_id();
        }
        let proposal = Proposal::LeaseGrant(request);
        let Applied::LeaseGrant(mut response) = self.requests.propose(proposal).await? else {
            return Err(unexpected());
        };
        self.requests.header(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_revoke(
        &self,
        request: Request<PbLeaseRevokeRequest>,
    ) -> Result<Response<PbLeaseRevokeResponse>, Status> {
        self.admit(&request, "LeaseRevoke")?;
        let proposal = Proposal::LeaseRevoke(request.into_inner().id);
        let Applied::LeaseRevoke(mut response) = self.requests.propose(proposal).await? else {
            return Err(unexpected());
        };
        self.requests.header(&mut response.header);
        Ok(Response::new(response))
    }

    type LeaseKeepAliveStream =
        Pin<Box<dyn Stream<Item = Result<PbLeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<PbLeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let wants_leader = self.admit(&request, "LeaseKeepAlive")?;
        let keeping = Keeping {
            services: self.clone(),
            requests: request.into_inner(),
            wants_leader,
            ended: false,
        };
        let answers = stream::unfold(keeping, |mut keeping| async move {
            let answer = keeping.next().await?;
            keeping.ended = answer.is_err();
            Some((answer, keeping))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<PbLeaseTimeToLiveRequest>,
    ) -> Result<Response<PbLeaseTimeToLiveResponse>, Status> {
        self.admit(&request, "LeaseTimeToLive")?;
        let request = request.into_inner();
        let asked = self.requests.time_to_live(request.id, request.keys);
        let mut response = asked.await?;
        self.requests.header(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_leases(
        &self,
        request: Request<PbLeaseLeasesRequest>,
    ) -> Result<Response<PbLeaseLeasesResponse>, Status> {
        self.admit(&request, "LeaseLeases")?;
        let leases = self.requests.leases().into_iter();
        let mut response = PbLeaseLeasesResponse {
            header: None,
            leases: leases.map(|id| PbLeaseStatus { id }).collect(),
        };
        self.requests.header(&mut response.header);
        Ok(Response::new(response))
    }
}

/// A stream of keepalives: answered one after the other.
struct Keeping {
    services: Services,
    requests: Streaming<PbLeaseKeepAliveRequest>,
    wants_leader: bool,
    ended: bool,
}

impl Keeping {
    async fn next(&mut self) -> Option<Result<PbLeaseKeepAliveResponse, Status>> {
        if self.ended {
            return None;
        }
        let requests = self.services.requests.clone();
        let answer = async {
            let request = match self.requests.message().await {
                Ok(Some(request)) => request,
                Ok(None) => return None,
                Err(status) => return Some(Err(status)),
            };
            let mut response = PbLeaseKeepAliveResponse {
                header: None,
                id: request.id,
                ttl: 0,
            };
            // Before the renewal: nobody reads from the header that a lease lived at a revision at which it
            // was revoked.
            requests.header(&mut response.header);
            match requests.renew(request.id).await {
                Ok(ttl) => response.ttl = ttl,
                Err(error) => return Some(Err(error.into())),
            }
            requests.cluster.note(requests.member, &requests.peer, || {
                format!("LeaseKeepAlive: {}", response.ttl)
            });
            Some(Ok(response))
        };
        if !self.wants_leader {
            return answer.await;
        }
        let answered = unless(requests.leader_lost(), answer).await;
        answered.unwrap_or_else(|| Some(Err(EtcdError::NoLeader.into())))
    }
}
