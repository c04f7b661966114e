use std::pin::Pin;

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKvService,
    PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse, PbRangeStreamResponse,
    PbTxnRequest, PbTxnResponse,
};
use futures_util::Stream;
use tonic::{Request, Response, Status, async_trait};

use super::Services;
use crate::etcd::engine::{Applied, Proposal};

#[async_trait]
impl PbKvService for Services {
    async fn range(
        &self,
        request: Request<PbRangeRequest>,
    ) -> Result<Response<PbRangeResponse>, Status> {
        self.admit(&request, "Range")?;
        let mut response = self.requests.range(request.into_inner()).await?;
        self.requests.header(&mut response.header);
        Ok(Response::new(response))
    }

    type RangeStreamStream =
        Pin<Box<dyn Stream<Item = Result<PbRangeStreamResponse, Status>> + Send>>;

    async fn range_stream(
        &self,
        _: Request<PbRangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        Err(Status::unimplemented("unknown method RangeStream"))
    }

    async fn put(&self, request: Request<PbPutRequest>) -> Result<Response<PbPutResponse>, Status> {
        self.admit(&request, "Put")?;
        let proposal = Proposal::Put(request.into_inner());
        let Applied::Put(mut response) = self.requests.propose(proposal).await? else {
            return Err(unexpected());
        };
        self.requests.header(&mut response.header);
        Ok(Response::new(response))
    }

    async fn delete_range(
        &self,
        request: Request<PbDeleteRequest>,
    ) -> Result<Response<PbDeleteResponse>, Status> {
        self.admit(&request, "DeleteRange")?;
        let proposal = Proposal::DeleteRange(request.into_inner());
        let Applied::DeleteRange(mut response) = self.requests.propose(proposal).await? else {
            return Err(unexpected());
        };
        self.requests.header(&mut response.header);
        Ok(Response::new(response))
    }

    async fn txn(&self, request: Request<PbTxnRequest>) -> Result<Response<PbTxnResponse>, Status> {
        self.admit(&request, "Txn")?;
        let mut response = self.requests.txn(request.into_inner()).await?;
        self.requests.header(&mut response.header);
        Ok(Response::new(response))
    }

    async fn compact(
        &self,
        request: Request<PbCompactionRequest>,
    ) -> Result<Response<PbCompactionResponse>, Status> {
        self.admit(&request, "Compact")?;
        let proposal = Proposal::Compact(request.into_inner());
        let Applied::Compact(mut response) = self.requests.propose(proposal).await? else {
            return Err(unexpected());
        };
        self.requests.header(&mut response.header);
        Ok(Response::new(response))
    }
}

/// The engine answers each proposal in its own kind.
pub(super) fn unexpected() -> Status {
    Status::internal("an answer to another request")
}
