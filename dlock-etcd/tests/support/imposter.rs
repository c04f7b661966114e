//! What may stand where an etcd should.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Every kind, with its name. They last as long as the runtime.
pub async fn imposters() -> Vec<(&'static str, String)> {
    vec![
        ("nobody listens", nobody()),
        ("packets are dropped", black_hole().await),
        (
            "connections are accepted and nothing is said",
            silent().await,
        ),
        ("connections are closed at once", talker(None).await),
        ("bytes that mean nothing", talker(Some(&[0xff; 1000])).await),
        (
            "another protocol",
            talker(Some(
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
            ))
            .await,
        ),
    ]
}

/// Nothing has listened on port 1 for decades.
pub fn nobody() -> String {
    "http://127.0.0.1:1".to_owned()
}

/// Connecting to it takes for ever.
pub async fn black_hole() -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    // Nobody accepts: once the queue is full, the kernel drops what comes.
    let moment = Duration::from_millis(300);
    while let Ok(Ok(stream)) = tokio::time::timeout(moment, TcpStream::connect(address)).await {
        queued.push(stream);
    }
    tokio::spawn(async move {
        let _open = (listener, queued);
        std::future::pending::<()>().await;
    });
    format!("http://{address}")
}

/// Accepts connections, and never says anything.
pub async fn silent() -> String {
    let (listener, endpoint) = listener().await;
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    endpoint
}

/// Answers whatever comes with these bytes, or closes the connection before anything comes.
async fn talker(says: Option<&'static [u8]>) -> String {
    let (listener, endpoint) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(says) = says else { continue };
            tokio::spawn(async move {
                let mut received = [0; 4096];
                while let Ok(1..) = stream.read(&mut received).await {
                    if stream.write_all(says).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    endpoint
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}
