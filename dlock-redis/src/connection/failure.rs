use std::fmt;
use std::time::Duration;

use dlock_core::store::StoreError;
use redis::{ErrorKind, RedisError};

use super::text::{self, Answer};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a command has no useful answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// There is no connection: nothing was sent.
    NotConnected {
        address: String,
        why: ConnectFailure,
    },
    /// Nothing came back for so long.
    NoAnswer(Duration),
    /// The connection broke, or spoke something else than Redis' protocol.
    Broken(RedisError),
    /// The server answered with an error.
    Answered(RedisError),
    /// The server answered something that our script never answers.
    Senseless(&'static str),
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub(crate) enum ConnectFailure {
    Refused(RedisError),
    Timeout(Duration),
    /// The task that was connecting is gone: its runtime has ended, or the connector panicked.
    Dropped,
}

/// What an error means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Unavailable,
    Indeterminate,
    Rejected,
}

impl Failure {
    /// What `redis` gave for a command that was (perhaps) sent.
    pub fn of_command(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Answered(error),
            _ => Self::Broken(error),
        }
    }

    /// Whether the connection is of no more use.
    pub fn breaks_connection(&self) -> bool {
        match self {
            Self::NoAnswer(_) | Self::Broken(_) | Self::Senseless(_) => true,
            // The server was demoted, or asks for credentials anew: the same address may lead to a
            // better one by now.
            Self::Answered(error) => {
                matches!(Answer::of(error).code.as_str(), "READONLY" | "NOAUTH")
            }
            Self::NotConnected { .. } => false,
        }
    }

    pub fn meaning(&self) -> Meaning {
        match self {
            Self::NotConnected { why, .. } => why.meaning(),
            Self::NoAnswer(_) | Self::Broken(_) | Self::Senseless(_) => Meaning::Indeterminate,
            Self::Answered(error) => meaning_of_answer(error),
        }
    }
}

impl ConnectFailure {
    /// Nothing was sent, so never indeterminate.
    pub fn meaning(&self) -> Meaning {
        let Self::Refused(error) = self else {
            return Meaning::Unavailable;
        };
        match error.kind() {
            ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::RESP3NotSupported => Meaning::Rejected,
            ErrorKind::Server(_) | ErrorKind::Extension => match meaning_of_answer(error) {
                Meaning::Rejected => Meaning::Rejected,
                _ => Meaning::Unavailable,
            },
            _ => Meaning::Unavailable,
        }
    }
}

/// What an error answer means. Of a code we do not know (a proxy's, a module's) nothing is known.
fn meaning_of_answer(error: &RedisError) -> Meaning {
    let Answer { code, detail } = Answer::of(error);
    match code.as_str() {
        // The server refused before it executed anything.
        "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "OOM" | "MISCONF"
        | "NOREPLICAS" => Meaning::Unavailable,
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "WRONGTYPE" | "READONLY" | "MOVED" | "ASK"
        | "CROSSSLOT" | "NOPROTO" | "NOSCRIPT" | "EXECABORT" => Meaning::Rejected,
        code if code.starts_with("DLOCK") => Meaning::Rejected,
        "ERR" => meaning_of_text(&detail),
        _ => Meaning::Indeterminate,
    }
}

/// `ERR` says little: the server uses it for what it refuses, and proxies for what they have lost
/// (`ERR Connection timed out`).
fn meaning_of_text(detail: &str) -> Meaning {
    const REFUSALS: [&str; 9] = [
        "unknown command",
        "Unknown Redis command",
        "unknown subcommand",
        "wrong number of arguments",
        "invalid password",
        "AUTH",
        // A long command of a client that has not said who it is.
        "Protocol error: unauthenticated",
        "DB index",
        "cluster support disabled",
    ];
    if detail.contains("max number of clients") {
        return Meaning::Unavailable;
    }
    match REFUSALS.iter().any(|refusal| detail.contains(refusal)) {
        true => Meaning::Rejected,
        false => Meaning::Indeterminate,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected { address, why } => write!(f, "cannot connect to {address}: {why}"),
            Self::NoAnswer(limit) => write!(f, "no answer within {limit:?}"),
            Self::Broken(error) => write!(f, "the connection broke: {}", text::of_broken(error)),
            Self::Answered(error) => f.write_str(&text::of_answer(error)),
            Self::Senseless(what) => write!(
                f,
                "the answer makes no sense: {what}; is this a Redis server?"
            ),
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => f.write_str(&text::of_connect(error)),
            Self::Timeout(limit) => write!(f, "no connection within {limit:?}"),
            Self::Dropped => f.write_str("the runtime has ended, or the connector panicked"),
        }
    }
}

impl Failure {
    /// The client library's error, where its own text may be shown.
    pub fn into_source(self) -> Option<Source> {
        match self {
            Self::Broken(error)
            | Self::NotConnected {
                why: ConnectFailure::Refused(error),
                ..
            } if text::is_harmless(&error) => Some(error.into()),
            _ => None,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        let error = match failure.meaning() {
            Meaning::Unavailable => Self::unavailable(message),
            Meaning::Indeterminate => Self::indeterminate(message),
            Meaning::Rejected => Self::rejected(message),
        };
        match failure.into_source() {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(line: &str) -> Meaning {
        let answer = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        Failure::of_command(answer.extract_error().unwrap_err()).meaning()
    }

    #[test]
    fn refused_before_executing_is_unavailable() {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "CLUSTERDOWN Hash slot not served",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "@user_script: 63: -OOM command not allowed when used memory > 'maxmemory'.",
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "NOREPLICAS Not enough good replicas to write.",
            "ERR max number of clients reached",
        ] {
            assert_eq!(meaning(line), Meaning::Unavailable, "{line}");
        }
    }

    #[test]
    fn what_somebody_has_to_change_is_rejected() {
        for line in [
            "NOAUTH Authentication required.",
            "WRONGPASS invalid username-password pair or user is disabled.",
            "NOPERM this user has no permissions to run the 'evalsha' command",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "READONLY You can't write against a read only replica.",
            "MOVED 3999 127.0.0.1:6381",
            "ASK 3999 127.0.0.1:6381",
            "CROSSSLOT Keys in request don't hash to the same slot",
            "DLOCKTYPE the lock key holds another type than a string",
            "DLOCKCOUNTER the counter key holds no token",
            "ERR unknown command `EVALSHA`, with args beginning with: `0`",
            "ERR Unknown Redis command called from script script: 19965f",
        ] {
            assert_eq!(meaning(line), Meaning::Rejected, "{line}");
        }
    }

    /// Proxies answer so after they have sent the request on.
    #[test]
    fn an_unknown_error_tells_nothing() {
        for line in [
            "ERR Connection timed out",
            "ERR upstream failure",
            "upstream failure",
            "ODD",
            "",
            "ERR",
        ] {
            assert_eq!(meaning(line), Meaning::Indeterminate, "{line}");
        }
    }

    /// While connecting nothing was sent: an error there is never indeterminate.
    #[test]
    fn connecting_is_never_indeterminate() {
        for line in ["ERR Connection timed out", "LOADING", "ODD x"] {
            let error = redis::parse_redis_value(format!("-{line}\r\n").as_bytes())
                .unwrap()
                .extract_error()
                .unwrap_err();
            assert_eq!(
                ConnectFailure::Refused(error).meaning(),
                Meaning::Unavailable,
                "{line}"
            );
        }
        assert_eq!(
            ConnectFailure::Timeout(Duration::ZERO).meaning(),
            Meaning::Unavailable
        );
        assert_eq!(ConnectFailure::Dropped.meaning(), Meaning::Unavailable);
    }
}
