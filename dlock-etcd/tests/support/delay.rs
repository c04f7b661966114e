use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};

/// A network in front of a server that can keep back what clients send, and deliver it later: without
/// what they sent after they had given up. New connections are not kept back.
pub struct Delay {
    port: u16,
    connections: Arc<Mutex<Vec<Arc<Connection>>>>,
}

struct Connection {
    server: tokio::sync::Mutex<OwnedWriteHalf>,
    kept: Mutex<Option<Vec<u8>>>,
    sealed: Mutex<bool>,
}

impl Delay {
    pub async fn in_front_of(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let this = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
        };
        let connections = this.connections.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, to_server) = server.into_split();
                let connection = Arc::new(Connection {
                    server: to_server.into(),
                    kept: Mutex::default(),
                    sealed: Mutex::default(),
                });
                connections.lock().unwrap().push(connection.clone());
                tokio::spawn(
                    async move { tokio::io::copy(&mut from_server, &mut to_client).await },
                );
                tokio::spawn(async move {
                    let mut buffer = vec![0; 65536];
                    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                        connection.sent(&buffer[..length]).await;
                    }
                });
            }
        });
        this
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Keeps back what is sent from now on over the connections that there are.
    pub fn keep_back(&self) {
        for connection in self.connections.lock().unwrap().iter() {
            connection.kept.lock().unwrap().get_or_insert_default();
        }
    }

    /// How many bytes are kept back.
    pub fn kept(&self) -> usize {
        let connections = self.connections.lock().unwrap();
        let kept = |one: &Arc<Connection>| one.kept.lock().unwrap().as_ref().map_or(0, Vec::len);
        connections.iter().map(kept).sum()
    }

    /// Keeps no more: what comes over those connections now is lost.
    pub fn lose_the_rest(&self) {
        for connection in self.connections.lock().unwrap().iter() {
            *connection.sealed.lock().unwrap() = connection.kept.lock().unwrap().is_some();
        }
    }

    /// Delivers what was kept back.
    pub async fn deliver(&self) {
        let connections = self.connections.lock().unwrap().clone();
        for connection in connections {
            let kept = connection.kept.lock().unwrap().take();
            if let Some(kept) = kept {
                connection
                    .server
                    .lock()
                    .await
                    .write_all(&kept)
                    .await
                    .unwrap();
            }
        }
    }
}

impl Connection {
    async fn sent(&self, bytes: &[u8]) {
        if *self.sealed.lock().unwrap() {
            return;
        }
        if let Some(kept) = self.kept.lock().unwrap().as_mut() {
            kept.extend_from_slice(bytes);
            return;
        }
        // The server may be gone.
        let _ = self.server.lock().await.write_all(bytes).await;
    }
}
