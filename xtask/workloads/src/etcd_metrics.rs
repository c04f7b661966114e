use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;

/// What etcd counts, as it tells Prometheus.
pub struct EtcdMetrics(String);

impl EtcdMetrics {
    /// Asks the member with this client URL.
    pub async fn read(url: &str) -> Result<Self> {
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let mut connection = TcpStream::connect(address).await?;
        // HTTP/1.0: the answer ends with the connection, and comes in one piece.
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => Ok(Self(body.to_owned())),
            _ => Err(format!("no metrics at {url}").into()),
        }
    }

    /// Requests, and messages on streams.
    pub fn messages_received(&self) -> u64 {
        self.sum("grpc_server_msg_received_total", "")
    }

    /// The same of one method, such as `LeaseKeepAlive`.
    pub fn messages_received_by(&self, method: &str) -> u64 {
        self.sum("grpc_server_msg_received_total", method)
    }

    /// How many streams of this method are open.
    pub fn open_streams(&self, method: &str) -> u64 {
        let started = self.sum("grpc_server_started_total", method);
        started.saturating_sub(self.sum("grpc_server_handled_total", method))
    }

    /// Over all labels of the counter, or those with this method.
    fn sum(&self, counter: &str, method: &str) -> u64 {
        let label = format!("grpc_method=\"{method}\"");
        let value = |line: &str| {
            let (labels, value) = line
                .strip_prefix(counter)?
                .strip_prefix('{')?
                .split_once("} ")?;
            let meant = method.is_empty() || labels.contains(&label);
            // Large numbers come as `1.2e+06`.
            meant.then(|| value.parse::<f64>().ok())?
        };
        self.0.lines().filter_map(value).sum::<f64>() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# TYPE grpc_server_msg_received_total counter
grpc_server_msg_received_total{grpc_method=\"Txn\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1.5e+06
grpc_server_msg_received_total{grpc_method=\"LeaseKeepAlive\",grpc_service=\"etcdserverpb.Lease\",grpc_type=\"bidi_stream\"} 30
grpc_server_started_total{grpc_method=\"LeaseKeepAlive\",grpc_service=\"etcdserverpb.Lease\",grpc_type=\"bidi_stream\"} 3
grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"LeaseKeepAlive\",grpc_service=\"etcdserverpb.Lease\",grpc_type=\"bidi_stream\"} 1
grpc_server_handled_total{grpc_code=\"Unavailable\",grpc_method=\"LeaseKeepAlive\",grpc_service=\"etcdserverpb.Lease\",grpc_type=\"bidi_stream\"} 1
grpc_server_msg_received_totals{grpc_method=\"Txn\"} 7
";

    #[test]
    fn counters_are_summed_over_their_labels() {
        let metrics = EtcdMetrics(TEXT.to_owned());
        assert_eq!(metrics.messages_received(), 1_500_030);
        assert_eq!(metrics.messages_received_by("LeaseKeepAlive"), 30);
        assert_eq!(metrics.messages_received_by("Lease"), 0);
        assert_eq!(metrics.open_streams("LeaseKeepAlive"), 1);
        assert_eq!(metrics.open_streams("Watch"), 0);
    }
}
