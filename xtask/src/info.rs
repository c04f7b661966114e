//! What a running server says about itself.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    /// With the product's name: `Redis`, `Valkey` or `etcd`.
    pub(crate) version: String,
    /// Random, and new at every start: it identifies one process for ever.
    pub(crate) run_id: String,
    /// etcd does not say it.
    pub(crate) pid: Option<u32>,
}

pub(crate) fn connect(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    Ok(connection)
}
