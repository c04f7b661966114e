use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

use super::Machine;
use crate::trace::Kind;

/// A connection of a client machine.
pub struct SimStream {
    stream: TcpStream,
    watched: Option<Watched>,
}

/// Records what passes.
struct Watched {
    machine: Arc<Machine>,
    connection: u64,
    peer: String,
}

impl SimStream {
    /// Connects this machine, in whose task this must be called. With `watched`, the trace shows every piece of data.
    ///
    /// There is no timeout: a host that is down or unreachable never answers.
    pub async fn connect(
        machine: &Arc<Machine>,
        host: &str,
        port: u16,
        watched: bool,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        let watched = watched.then(|| Watched {
            machine: machine.clone(),
            connection: machine.recorder().next_op(),
            peer: host.to_owned(),
        });
        Ok(Self { stream, watched })
    }
}

impl Watched {
    fn sent(&self, bytes: usize) {
        self.machine.record(Kind::Send {
            connection: self.connection,
            peer: self.peer.clone(),
            bytes: bytes as u64,
        });
    }

    fn received(&self, bytes: usize) {
        self.machine.record(Kind::Recv {
            connection: self.connection,
            peer: self.peer.clone(),
            bytes: bytes as u64,
        });
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let poll = Pin::new(&mut this.stream).poll_read(cx, buf);
        if let (Poll::Ready(Ok(())), Some(watched)) = (&poll, &this.watched) {
            watched.received(buf.filled().len() - before);
        }
        poll
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.stream).poll_write(cx, buf);
        if let (Poll::Ready(Ok(bytes)), Some(watched)) = (&poll, &this.watched) {
            watched.sent(*bytes);
        }
        poll
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Takes connections to a server's port: each comes with the name of the machine it is from.
pub(crate) struct Listener(TcpListener);

impl Listener {
    pub async fn bind(port: u16) -> io::Result<Self> {
        let address = (std::net::Ipv4Addr::UNSPECIFIED, port);
        Ok(Self(TcpListener::bind(address).await?))
    }

    pub async fn accept(&self) -> io::Result<(TcpStream, String)> {
        let (stream, peer) = self.0.accept().await?;
        let name = turmoil::reverse_lookup(peer.ip()).unwrap_or_else(|| "stranger".to_owned());
        Ok((stream, name))
    }
}
