use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use dlock_core::runtime::Runtime;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::EtcdCluster;
use super::cluster::Requests;
use super::service::Services;

/// Windows as tonic's own server has them.
const WINDOW: u32 = 1024 * 1024;

/// Serves one connection of a client, whose node is `peer`, to a member. Ends when the connection does or the member
/// dies; while the member is frozen, nothing moves. All tasks run on `runtime`, whose timers it sleeps by.
///
/// HTTP/2 by hyper, without the `date` header, which would differ from run to run.
pub async fn serve<IO>(
    cluster: EtcdCluster,
    member: usize,
    io: IO,
    peer: String,
    runtime: Arc<dyn Runtime>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let tasks = Tasks {
        cluster: cluster.clone(),
        member,
        runtime: runtime.clone(),
    };
    let requests = Requests::new(cluster.clone(), member, &peer, runtime);
    let services = Services::new(requests);
    let service = service_fn(move |request| {
        let services = services.clone();
        async move { Ok::<_, Infallible>(services.call(request).await) }
    });
    let connection = http2::Builder::new(tasks)
        .auto_date_header(false)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(None)
        .serve_connection(TokioIo::new(io), service);
    let connection = async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, peer, "a connection to etcd has ended");
        }
    };
    cluster.task_of(member, connection).await;
}

/// Runs hyper's tasks as the member's.
#[derive(Clone)]
struct Tasks {
    cluster: EtcdCluster,
    member: usize,
    runtime: Arc<dyn Runtime>,
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let task = self.cluster.task_of(self.member, future);
        self.runtime.spawn(task);
    }
}
