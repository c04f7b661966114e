//! URLs, with errors that do not repeat them (R14).

use redis::Client;

use crate::Error;

const SCHEMES: [&str; 7] = [
    "redis",
    "rediss",
    "valkey",
    "valkeys",
    "unix",
    "redis+unix",
    "valkey+unix",
];

/// A client for this URL; does not connect.
pub(crate) fn client(text: &str) -> Result<Client, Error> {
    let scheme = text
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    let Some(scheme) = scheme.filter(|scheme| SCHEMES.contains(&scheme.as_str())) else {
        return Err(invalid(format!(
            "the scheme is none of {}",
            SCHEMES.join(", ")
        )));
    };
    if matches!(scheme.as_str(), "rediss" | "valkeys") && !cfg!(feature = "tls") {
        return Err(Error::TlsNotEnabled);
    }
    let url = redis::parse_redis_url(text).ok_or_else(|| {
        invalid("it is no URL: look at host and port, and encode special characters with %")
    })?;
    // A `/`, `?` or `#` in a password that is not encoded ends the host early: what we would show as
    // the address, and ask the name server for, were half a secret.
    let misread = [Some(url.path()), url.query(), url.fragment()]
        .into_iter()
        .flatten()
        .any(|part| part.contains('@'));
    if misread && !scheme.contains("unix") {
        return Err(invalid(
            "there is an `@` after the host: percent-encode special characters in user and password",
        ));
    }
    Client::open(url).map_err(|error| {
        let detail = error.to_string();
        invalid(
            detail
                .split(" - ")
                .next()
                .unwrap_or_default()
                .to_lowercase(),
        )
    })
}

fn invalid(problem: impl Into<String>) -> Error {
    Error::InvalidUrl {
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls() {
        for good in [
            "redis://127.0.0.1/",
            "redis://localhost",
            "redis://user:pass@example.org:6380/2",
            "redis://:p%40ss@[::1]:6379/?protocol=resp3",
            "valkey://h/",
            "unix:///run/redis/redis.sock?db=1&pass=p@ss",
            "redis+unix:///run/redis.sock",
        ] {
            assert!(client(good).is_ok(), "{good}: {:?}", client(good).err());
        }
    }

    /// R14, and every one says what is wrong.
    #[test]
    fn bad_urls_are_not_repeated() {
        for (bad, says) in [
            ("", "scheme"),
            ("hunter2", "scheme"),
            ("http://:hunter2@h/", "scheme"),
            ("redis:/hunter2", "scheme"),
            ("redis://:hunter2@/", "URL"),
            ("redis://:hunter2@h/notanumber", "database"),
            ("redis://:hunter2@h/?protocol=9", "protocol"),
            ("redis://:hunter2@h:99999/", "URL"),
            ("redis://:pa#hunter2@h/", "URL"),
            ("redis://user:12#hunter2@h/", "percent-encode"),
            ("redis://hunter2/x:y@h/", "percent-encode"),
            ("redis://:hunter2@0.0.0.0/", "wildcard"),
            ("unix://hunter2", "path"),
        ] {
            let error = client(bad)
                .err()
                .unwrap_or_else(|| panic!("{bad} is taken"));
            for shown in [error.to_string(), format!("{error:?}")] {
                assert!(!shown.contains("hunter2"), "{bad}: {shown}");
                assert!(shown.contains(says), "{bad}: {shown}");
            }
        }
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn tls_is_a_feature() {
        for url in ["rediss://h/", "valkeys://h/"] {
            let error = client(url).err().unwrap();
            assert!(matches!(error, Error::TlsNotEnabled), "{error}");
            assert!(error.to_string().contains("feature `tls`"), "{error}");
        }
    }
}
