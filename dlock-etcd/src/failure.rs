//! What an error of the client library says about a request.

use std::error::Error as StdError;
use std::time::Duration;

use dlock_core::store::StoreError;
use tonic::{Code, Status};

/// A request that brought no answer, or a refusal.
#[derive(Debug)]
pub(crate) struct Failure {
    pub meaning: Meaning,
    message: String,
    source: Option<etcd_client::Error>,
}

/// What is known of a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Surely not applied; it may work later, or with another member.
    Unavailable,
    /// Perhaps applied, now or later.
    Indeterminate,
    /// Surely not applied, and it will not be until somebody changes something.
    Rejected,
    /// Surely not applied: the lease it names does not exist.
    NoSuchLease,
    /// Surely not applied: the lease it grants exists already.
    LeaseExists,
    /// Surely not applied: etcd does not know the token any more, and gives another.
    TokenForgotten,
}

impl Failure {
    pub fn of(error: etcd_client::Error) -> Self {
        let (meaning, message) = match &error {
            etcd_client::Error::GRpcStatus(status) => of_status(status),
            etcd_client::Error::InvalidArgs(_)
            | etcd_client::Error::InvalidUri(_)
            | etcd_client::Error::InvalidMetadataValue(_)
            | etcd_client::Error::Utf8Error(_) => (Meaning::Rejected, error.to_string()),
            etcd_client::Error::LeaseKeepAliveError(_) => {
                (Meaning::Indeterminate, error.to_string())
            }
            etcd_client::Error::TransportError(inner) => {
                (Meaning::Indeterminate, with_sources(inner))
            }
            _ => (Meaning::Indeterminate, error.to_string()),
        };
        Self {
            meaning,
            message,
            source: Some(error),
        }
    }

    pub fn silence(limit: Duration) -> Self {
        Self::told(
            Meaning::Indeterminate,
            format!("no answer within {limit:?}"),
        )
    }

    /// An answer that etcd does not give.
    pub fn garbled(what: &str) -> Self {
        Self::told(
            Meaning::Indeterminate,
            format!(
                "an answer that makes no sense: {what}; is this an etcd of version 3.4 or newer?"
            ),
        )
    }

    pub fn told(meaning: Meaning, message: impl Into<String>) -> Self {
        Self {
            meaning,
            message: message.into(),
            source: None,
        }
    }

    /// At which member.
    pub fn at(mut self, endpoint: Option<&str>) -> Self {
        if let Some(endpoint) = endpoint {
            self.message = format!("{endpoint}: {}", self.message);
        }
        self
    }

    /// At a member that has never answered: perhaps it is spoken to in the wrong way.
    pub fn never_worked(self, endpoint: &str) -> Self {
        let says = |text: &str| self.message.contains(text);
        let advice = if !self.is_of_the_connection() || says("tcp connect") || says("dns error") {
            ""
        } else if endpoint.starts_with("http://") {
            "; if it speaks TLS, write https://"
        } else if says("invalid peer certificate") {
            "; an authority of one's own, or another name, is given with `EtcdStoreBuilder::tls`"
        } else {
            "; it may speak no TLS (write http:// then), or want a client certificate (`EtcdStoreBuilder::tls`)"
        };
        let message = format!("{}{advice}", self.message);
        Self { message, ..self }.at(Some(endpoint))
    }

    /// It says nothing of etcd, which did not answer.
    pub fn is_of_the_connection(&self) -> bool {
        match &self.source {
            Some(etcd_client::Error::GRpcStatus(status)) => status.source().is_some(),
            Some(etcd_client::Error::TransportError(_)) => true,
            _ => false,
        }
    }

    pub fn with_source(mut self, source: Option<etcd_client::Error>) -> Self {
        self.source = source;
        self
    }

    /// Whether it is worth asking another member, or over a new connection.
    pub fn is_of_the_member(&self) -> bool {
        matches!(
            self.meaning,
            Meaning::Unavailable | Meaning::Indeterminate | Meaning::TokenForgotten
        )
    }

    pub fn into_parts(self) -> (Meaning, String, Option<etcd_client::Error>) {
        (self.meaning, self.message, self.source)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let (meaning, message, source) = failure.into_parts();
        let error = match meaning {
            Meaning::Unavailable | Meaning::NoSuchLease | Meaning::LeaseExists => {
                Self::unavailable(message)
            }
            Meaning::Indeterminate => Self::indeterminate(message),
            Meaning::Rejected | Meaning::TokenForgotten => Self::rejected(message),
        };
        match source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

fn of_status(status: &Status) -> (Meaning, String) {
    if could_not_connect(status) {
        return (Meaning::Unavailable, with_sources(status_source(status)));
    }
    let message = status.message();
    let says = |text: &str| message.contains(text);
    let meaning = match status.code() {
        Code::NotFound if says("requested lease not found") => Meaning::NoSuchLease,
        Code::FailedPrecondition if says("lease already exists") => Meaning::LeaseExists,
        // Refused before it was proposed.
        Code::Unavailable if says("etcdserver: no leader") => Meaning::Unavailable,
        Code::Unavailable if says("etcdserver: not capable") => Meaning::Unavailable,
        Code::ResourceExhausted if says("too many requests") => Meaning::Unavailable,
        Code::ResourceExhausted if says("database space exceeded") => {
            // The first request that does not fit is applied all the same.
            return (
                Meaning::Indeterminate,
                format!("{message}: compact and defragment etcd, then `etcdctl alarm disarm`"),
            );
        }
        Code::InvalidArgument if says("authentication failed") => {
            return (
                Meaning::Rejected,
                format!("{message}: check the user and the password"),
            );
        }
        Code::InvalidArgument if says("user name is empty") => {
            return (
                Meaning::Rejected,
                format!(
                    "{message}: etcd asks for a user and a password (`EtcdStoreBuilder::user`)"
                ),
            );
        }
        // After five minutes without a request, or because users or rights were changed.
        Code::Unauthenticated | Code::InvalidArgument
            if says("invalid auth token") || says("revision of auth store is old") =>
        {
            return (
                Meaning::TokenForgotten,
                format!(
                    "{message}: a client of one's own has to ask for another (`with_auto_token_refresh`)"
                ),
            );
        }
        Code::PermissionDenied => {
            return (
                Meaning::Rejected,
                format!(
                    "{message}: the user needs to read and write all keys that begin with the store's prefix"
                ),
            );
        }
        Code::FailedPrecondition if says("authentication is not enabled") => {
            return (
                Meaning::Rejected,
                format!("{message}: a user was given, and this etcd has no users; leave it out"),
            );
        }
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::OutOfRange => Meaning::Rejected,
        _ => Meaning::Indeterminate,
    };
    let message = match message {
        "" | "transport error" => with_sources(status_source(status)),
        message => message.to_owned(),
    };
    (meaning, message)
}

/// No connection, so that nothing was sent.
fn could_not_connect(status: &Status) -> bool {
    let mut next = status.source();
    while let Some(error) = next {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        next = error.source();
    }
    false
}

fn status_source(status: &Status) -> &(dyn StdError + 'static) {
    status.source().unwrap_or(status)
}

/// `transport error` alone tells nobody what to do.
fn with_sources(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(status: Status) -> Meaning {
        Failure::of(etcd_client::Error::GRpcStatus(status)).meaning
    }

    #[test]
    fn only_what_was_surely_refused_counts_as_not_applied() {
        let unavailable = |text: &str| meaning(Status::unavailable(text));
        assert_eq!(unavailable("etcdserver: no leader"), Meaning::Unavailable);
        for perhaps in [
            "etcdserver: request timed out",
            "etcdserver: request timed out, possibly due to previous leader failure",
            "etcdserver: leader changed",
            "etcdserver: server stopped",
            "error reading from server: EOF",
            "",
        ] {
            assert_eq!(unavailable(perhaps), Meaning::Indeterminate, "{perhaps}");
        }
        for status in [
            Status::cancelled(""),
            Status::unknown("?"),
            Status::deadline_exceeded(""),
            Status::internal("h2 protocol error"),
            Status::data_loss("etcdserver: corrupt cluster"),
            Status::aborted(""),
        ] {
            let text = format!("{status:?}");
            assert_eq!(meaning(status), Meaning::Indeterminate, "{text}");
        }
    }

    /// etcd applies the request that exceeds its quota, and then says so.
    #[test]
    fn a_full_database_leaves_a_doubt() {
        let full = Status::resource_exhausted("etcdserver: mvcc: database space exceeded");
        assert_eq!(meaning(full), Meaning::Indeterminate);
    }

    #[test]
    fn a_missing_lease_is_told_from_another_missing_thing() {
        let lease = Status::not_found("etcdserver: requested lease not found");
        assert_eq!(meaning(lease), Meaning::NoSuchLease);
        assert_eq!(meaning(Status::not_found("what?")), Meaning::Indeterminate);
    }

    #[test]
    fn refusals_say_what_to_do() {
        let wrong = Status::invalid_argument(
            "etcdserver: authentication failed, invalid user ID or password",
        );
        let error = StoreError::from(Failure::of(etcd_client::Error::GRpcStatus(wrong)));
        assert!(matches!(error, StoreError::Rejected { .. }), "{error:?}");
        assert!(error.to_string().contains("check the user"), "{error}");
    }
}
