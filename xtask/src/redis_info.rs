//! Asks a running Redis who it is, over a plain socket: `INFO server`.

use std::io::{self, BufRead, BufReader, Read, Write};

use crate::info::{Info, connect};

pub(crate) fn ask(port: u16) -> io::Result<Info> {
    let mut connection = BufReader::new(connect(port)?);
    connection.get_mut().write_all(b"INFO server\r\n")?;
    // A bulk string: `$<length>\r\n<that many bytes>\r\n`.
    let mut header = String::new();
    connection.by_ref().take(64).read_line(&mut header)?;
    let length = header.strip_prefix('$').and_then(|n| n.trim().parse().ok());
    let length = length.ok_or_else(|| not_redis(&header))?;
    let mut text = String::new();
    connection.take(length).read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| not_redis("no version, process_id or run_id in INFO"))
}

fn parse(text: &str) -> Option<Info> {
    let field = |name: &str| {
        let value = |line: &'_ str| -> Option<String> {
            let value = line.strip_prefix(name)?.strip_prefix(':')?;
            Some(value.trim().to_owned())
        };
        text.lines().find_map(value)
    };
    // Valkey also states the Redis version that it is compatible with.
    let version = match field("valkey_version") {
        Some(version) => format!("Valkey {version}"),
        None => format!("Redis {}", field("redis_version")?),
    };
    Some(Info {
        version,
        run_id: field("run_id")?,
        pid: Some(field("process_id")?.parse().ok()?),
    })
}

pub(crate) fn shut_down(port: u16) -> io::Result<()> {
    let mut connection = connect(port)?;
    connection.write_all(b"SHUTDOWN NOSAVE\r\n")?;
    // It answers only when it refuses; otherwise the connection just closes.
    let mut refusal = String::new();
    BufReader::new(connection)
        .take(512)
        .read_line(&mut refusal)?;
    if refusal.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other(refusal.trim().to_owned()))
    }
}

fn not_redis(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn valkey_is_not_taken_for_the_redis_it_is_compatible_with() {
        let redis = "# Server\r\nredis_version:7.0.15\r\nprocess_id:12\r\nrun_id:ab\r\n";
        let valkey = format!("{redis}server_name:valkey\r\nvalkey_version:9.1.2\r\n");
        assert_eq!(parse(redis).unwrap().version, "Redis 7.0.15");
        assert_eq!(parse(&valkey).unwrap().version, "Valkey 9.1.2");
        assert_eq!(parse("redis_version:7.0.15\r\n"), None);
    }

    #[test]
    fn what_is_not_redis_is_an_error() {
        for answer in [
            "HTTP/1.1 400 Bad Request\r\n",
            "-NOAUTH\r\n",
            "$3\r\nabc\r\n",
            "",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = thread::spawn(move || {
                let (mut connection, _) = listener.accept().unwrap();
                let mut request = [0; 13];
                connection.read_exact(&mut request).unwrap();
                connection.write_all(answer.as_bytes()).unwrap();
            });
            let error = ask(port).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{answer:?}");
            server.join().unwrap();
        }
    }
}
