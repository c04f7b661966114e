//! Asks a running etcd member who it is and whether it serves, over plain HTTP.

use std::io::{self, Read, Write};

use serde_json::Value;

use crate::info::{Info, connect};

/// Longer than any answer that is expected here.
const LONGEST: u64 = 1 << 20;

/// The run id is the member's name: `etcd_server.rs` gives every member one of its own.
pub(crate) fn ask(port: u16) -> io::Result<Info> {
    // Both are answered by the member itself, also when it has no leader.
    let members = exchange(port, "POST /v3/cluster/member/list", "{}")?;
    let version = exchange(port, "GET /version", "")?;
    parse(&members, &version).ok_or_else(|| not_etcd("no name or version in its answers"))
}

/// Whether the cluster has a leader and takes requests.
pub(crate) fn is_healthy(port: u16) -> io::Result<bool> {
    Ok(exchange(port, "GET /health", "")?["health"] == "true")
}

fn parse(members: &Value, version: &Value) -> Option<Info> {
    let own = members["header"]["member_id"].as_str()?;
    let member = members["members"].as_array()?;
    let member = member.iter().find(|member| member["ID"] == own)?;
    // Empty until the member has joined.
    let name = member["name"].as_str().filter(|name| !name.is_empty())?;
    Some(Info {
        version: format!("etcd {}", version["etcdserver"].as_str()?),
        run_id: name.to_owned(),
        pid: None,
    })
}

fn exchange(port: u16, request: &str, body: &str) -> io::Result<Value> {
    // HTTP/1.0: the answer comes in one piece, and the connection closes behind it.
    let head = format!("{request} HTTP/1.0\r\nHost: 127.0.0.1");
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut connection = connect(port)?;
    connection.write_all(request.as_bytes())?;
    let mut answer = String::new();
    connection.take(LONGEST).read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    let body = body.filter(|_| answer.starts_with("HTTP/"));
    let body = body.ok_or_else(|| not_etcd(answer.lines().next().unwrap_or("no answer")))?;
    serde_json::from_str(body).map_err(|_| not_etcd("its answer is not JSON"))
}

fn not_etcd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    use serde_json::json;

    /// A server that gives one answer to one request.
    fn answering(answer: &'static str) -> (u16, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = String::new();
            // Closed with a byte unread, the connection would be reset.
            while !request.ends_with("\r\n\r\n{}") && !request.ends_with(": 0\r\n\r\n") {
                let mut byte = [0];
                connection.read_exact(&mut byte).unwrap();
                request.push(char::from(byte[0]));
            }
            connection.write_all(answer.as_bytes()).unwrap();
            request
        });
        (port, server)
    }

    #[test]
    fn a_member_is_told_from_the_others_of_its_cluster() {
        let version = json!({"etcdserver": "3.4.23", "etcdcluster": "3.4.0"});
        let mut members = json!({
            "header": {"cluster_id": "7", "member_id": "2"},
            "members": [{"ID": "1", "name": "a"}, {"ID": "2", "name": "b"}],
        });
        let info = parse(&members, &version).unwrap();
        assert_eq!(
            (info.version.as_str(), info.run_id.as_str()),
            ("etcd 3.4.23", "b")
        );
        members["members"][1]["name"] = "".into();
        assert_eq!(parse(&members, &version), None);
    }

    #[test]
    fn health_is_what_the_member_says() {
        for (answer, healthy) in [
            ("HTTP/1.0 200 OK\r\n\r\n{\"health\":\"true\"}", true),
            (
                "HTTP/1.0 503 Service Unavailable\r\n\r\n{\"health\":\"false\"}",
                false,
            ),
        ] {
            let (port, server) = answering(answer);
            assert_eq!(is_healthy(port).unwrap(), healthy);
            assert!(
                server
                    .join()
                    .unwrap()
                    .starts_with("GET /health HTTP/1.0\r\n")
            );
        }
    }

    #[test]
    fn what_is_not_etcd_is_an_error() {
        for answer in [
            "-ERR unknown command 'POST'\r\n\r\n{}",
            "HTTP/1.0 404 Not Found\r\n\r\nnothing here",
            "HTTP/1.0 200 OK\r\n",
            "",
        ] {
            let (port, server) = answering(answer);
            let error = ask(port).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{answer:?}");
            server.join().unwrap();
        }
    }
}
