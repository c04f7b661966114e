//! etcd's gRPC services, as one member offers them to one client.

mod cluster;
mod kv;
mod lease;
mod maintenance;
mod watch;
mod watchers;

use etcd_client::proto::{
    PbClusterServer, PbKvServer, PbLeaseServer, PbMaintenanceServer, PbWatchServer,
};
use tonic::body::Body;
use tonic::codegen::http::{Request as HttpRequest, Response as HttpResponse};
use tonic::codegen::{Body as HttpBody, Service as _, StdError};
use tonic::{Request, Status};

use super::cluster::Requests;
use super::engine::EtcdError;

/// The services. Auth has none: this etcd has no users.
#[derive(Clone)]
pub(super) struct Services {
    requests: Requests,
}

impl Services {
    pub fn new(requests: Requests) -> Self {
        Self { requests }
    }

    pub async fn call<B>(self, request: HttpRequest<B>) -> HttpResponse<Body>
    where
        B: HttpBody + Send + 'static,
        B::Error: Into<StdError> + Send + 'static,
    {
        let path = request.uri().path().to_owned();
        let service = path.trim_start_matches('/').split('/').next();
        let answer = match service.unwrap_or_default() {
            "etcdserverpb.KV" => PbKvServer::new(self).call(request).await,
            "etcdserverpb.Lease" => PbLeaseServer::new(self).call(request).await,
            "etcdserverpb.Watch" => PbWatchServer::new(self).call(request).await,
            "etcdserverpb.Maintenance" => PbMaintenanceServer::new(self).call(request).await,
            "etcdserverpb.Cluster" => PbClusterServer::new(self).call(request).await,
            _ => Ok(Status::unimplemented(format!("unknown service {path}")).into_http()),
        };
        // They cannot fail.
        answer.unwrap_or_else(|never| match never {})
    }

    /// What etcd checks first. Whether the client wants a leader.
    fn admit<T>(&self, request: &Request<T>, what: &str) -> Result<bool, Status> {
        let requests = &self.requests;
        requests
            .cluster
            .note(requests.member, &requests.peer, || what.to_owned());
        let wants_leader = request
            .metadata()
            .get("hasleader")
            .is_some_and(|value| value == "true");
        if wants_leader && !requests.has_leader() {
            return Err(EtcdError::NoLeader.into());
        }
        Ok(wants_leader)
    }
}
