use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dlock_core::runtime::Runtime;
use etcd_client::{Channel, Client, ConnectOptions, Error};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::Endpoint;

/// A real client over connections that `connect` makes, with the pings that `dlock-etcd` asks for: a connection on
/// which none is answered ends after 8 s. Its tasks run on `runtime`, the pings by tokio's timers. Connects when it
/// is first used, and again after a connection has ended; so `connect` chooses the member.
pub async fn client<C, F, IO>(runtime: Arc<dyn Runtime>, connect: C) -> Result<Client, Error>
where
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = io::Result<IO>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connector = Connector {
        connect: Arc::new(connect),
    };
    let channel = Endpoint::from_static("http://etcd:2379")
        .executor(Spawner { runtime })
        .buffer_size(1024)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connector);
    let options = ConnectOptions::new().with_require_leader(true);
    Client::from_channel(Channel::Tonic(channel), Some(options)).await
}

const PING: Duration = Duration::from_secs(6);
const PONG: Duration = Duration::from_secs(2);

struct Connector<C> {
    connect: Arc<C>,
}

impl<C> Clone for Connector<C> {
    fn clone(&self) -> Self {
        let connect = self.connect.clone();
        Self { connect }
    }
}

impl<C, F, IO> Service<Uri> for Connector<C>
where
    C: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = io::Result<IO>> + Send + 'static,
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Response = TokioIo<IO>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<IO>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connecting = (self.connect)();
        Box::pin(async move { connecting.await.map(TokioIo::new) })
    }
}

struct Spawner {
    runtime: Arc<dyn Runtime>,
}

impl<F> Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.runtime.spawn(Box::pin(future));
    }
}
