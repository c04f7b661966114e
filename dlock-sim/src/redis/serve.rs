use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dlock_core::runtime::{Runtime, Task};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Topology;
use super::protocol::{Request, parse};

/// Serves one connection of a server, until the client closes it or the server breaks it.
///
/// `peer` is the client's node in the trace, and `runtime` the clock for answers that come late.
/// Returns at once when the server is down.
pub async fn serve<S>(
    topology: Topology,
    node: usize,
    io: S,
    peer: impl AsRef<str>,
    runtime: Arc<dyn Runtime>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(client) = topology.open(node, peer.as_ref()) else {
        return;
    };
    let mut serving = Serving {
        topology,
        node,
        client,
        io,
        runtime,
        input: Vec::new(),
        output: Vec::new(),
        ended: false,
        timer: None,
    };
    poll_fn(|context| serving.poll(context)).await;
}

struct Serving<S> {
    topology: Topology,
    node: usize,
    client: u64,
    io: S,
    runtime: Arc<dyn Runtime>,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The client sends nothing more.
    ended: bool,
    timer: Option<Task>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Serving<S> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let read = self.read(context);
            let attention = self.topology.attend(self.node, self.client, context);
            if !attention.alive {
                return Poll::Ready(());
            }
            self.output.extend(attention.bytes);
            if attention.executes && !attention.closing && self.execute() {
                continue;
            }
            let wrote = self.write(context);
            if wrote.is_err() {
                // The client is gone; what it sent before is executed nevertheless.
                self.ended = true;
                self.output.clear();
            }
            if attention.closing {
                let done = self.output.is_empty() && attention.drained;
                if done || wrote.is_err() {
                    return Poll::Ready(());
                }
            } else if self.ended && attention.executes {
                return Poll::Ready(());
            }
            if read {
                continue;
            }
            match attention.wait_ns {
                None => self.timer = None,
                Some(wait_ns) => {
                    let mut timer = self.runtime.sleep(Duration::from_nanos(wait_ns));
                    if timer.as_mut().poll(context).is_ready() {
                        continue;
                    }
                    self.timer = Some(timer);
                }
            }
            return Poll::Pending;
        }
    }

    /// Takes in what has arrived. Whether anything has.
    fn read(&mut self, context: &mut Context<'_>) -> bool {
        let mut any = false;
        let mut space = [0; 4096];
        while !self.ended {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.io).poll_read(context, &mut buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.input.extend_from_slice(buffer.filled());
                }
                Poll::Ready(_) => self.ended = true,
            }
            any = true;
        }
        any
    }

    fn write(&mut self, context: &mut Context<'_>) -> std::io::Result<()> {
        while !self.output.is_empty() {
            match Pin::new(&mut self.io).poll_write(context, &self.output) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(std::io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => drop(self.output.drain(..written)),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        match Pin::new(&mut self.io).poll_flush(context) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Executes the next command. Whether there was one.
    fn execute(&mut self) -> bool {
        match parse(&mut self.input) {
            None => false,
            Some(Request::Command(words)) => {
                self.topology.request(self.node, self.client, &words);
                true
            }
            Some(Request::Nonsense(text)) => {
                self.topology.refuse(self.node, self.client, text);
                true
            }
        }
    }
}

impl<S> Drop for Serving<S> {
    fn drop(&mut self) {
        self.topology.close(self.node, self.client);
    }
}
