use etcd_client::proto::{
    PbClusterService, PbMember, PbMemberAddRequest, PbMemberAddResponse, PbMemberListRequest,
    PbMemberListResponse, PbMemberPromoteRequest, PbMemberPromoteResponse, PbMemberRemoveRequest,
    PbMemberRemoveResponse, PbMemberUpdateRequest, PbMemberUpdateResponse,
};
use tonic::{Request, Response, Status, async_trait};

use super::Services;
use super::maintenance::not_simulated;

#[async_trait]
impl PbClusterService for Services {
    async fn member_list(
        &self,
        request: Request<PbMemberListRequest>,
    ) -> Result<Response<PbMemberListResponse>, Status> {
        self.admit(&request, "MemberList")?;
        let names = self.requests.cluster.members().iter().enumerate();
        let members = names.map(|(at, name)| PbMember {
            id: crate::etcd::cluster::member_id(at),
            name: name.clone(),
            client_ur_ls: vec![format!("http://{name}:2379")],
            ..PbMember::default()
        });
        let mut response = PbMemberListResponse {
            header: None,
            members: members.collect(),
        };
        self.requests.header(&mut response.header);
        Ok(Response::new(response))
    }

    async fn member_add(
        &self,
        _: Request<PbMemberAddRequest>,
    ) -> Result<Response<PbMemberAddResponse>, Status> {
        Err(not_simulated())
    }

    async fn member_remove(
        &self,
        _: Request<PbMemberRemoveRequest>,
    ) -> Result<Response<PbMemberRemoveResponse>, Status> {
        Err(not_simulated())
    }

    async fn member_update(
        &self,
        _: Request<PbMemberUpdateRequest>,
    ) -> Result<Response<PbMemberUpdateResponse>, Status> {
        Err(not_simulated())
    }

    async fn member_promote(
        &self,
        _: Request<PbMemberPromoteRequest>,
    ) -> Result<Response<PbMemberPromoteResponse>, Status> {
        Err(not_simulated())
    }
}
