use dlock_core::LockName;
use dlock_core::runtime::NoRuntime;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no [`EtcdStore`](crate::EtcdStore). What goes wrong later is a
/// [`StoreError`](dlock_core::store::StoreError).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An endpoint cannot be used.
    #[error(
        "`{endpoint}` is not a usable etcd endpoint ({problem}); write http://host:port or https://host:port"
    )]
    InvalidEndpoint {
        /// The endpoint.
        endpoint: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An endpoint asks for TLS.
    #[error(
        "`{endpoint}` asks for TLS, which is not compiled in: turn on the feature `tls` of dlock-etcd"
    )]
    TlsNotEnabled {
        /// The endpoint.
        endpoint: String,
    },
    /// An option makes no sense.
    #[error("{option} makes no sense: {remedy}")]
    InvalidOption {
        /// Which.
        option: &'static str,
        /// What would be right.
        remedy: &'static str,
    },
    /// There is no async runtime to connect on.
    #[error(transparent)]
    NoRuntime(#[from] NoRuntime),
    /// No member can be reached, or none serves now. Trying again later may work.
    #[error("{message}: check that etcd runs, has a leader, and can be reached")]
    Unavailable {
        /// What happened, and where.
        message: String,
        /// The client library's error.
        #[source]
        source: Option<Source>,
    },
    /// etcd can be reached and will not have us until somebody changes something: the credentials, the
    /// rights of the user, the server's configuration.
    #[error("{message}")]
    Rejected {
        /// What happened, where, and what to do.
        message: String,
        /// The client library's error.
        #[source]
        source: Option<Source>,
    },
}

/// The store has no such lock: it was released, lost, or made by another store.
#[derive(Debug, thiserror::Error)]
#[error("lock `{name}` is not held by this store (any more)")]
pub struct NotHeld {
    /// The lock.
    pub name: LockName,
}
