use dlock_core::runtime::NoRuntime;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no [`RedisStore`](crate::RedisStore). What goes wrong later is a
/// [`StoreError`](dlock_core::store::StoreError).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL cannot be used. It is not shown, because it may contain a password.
    #[error(
        "not a usable Redis URL: {problem}; write redis://[user][:password@]host[:port][/db], rediss:// for TLS, or unix:///path?db=0"
    )]
    InvalidUrl {
        /// What is wrong with it.
        problem: String,
    },
    /// The URL asks for TLS.
    #[error(
        "the URL asks for TLS, which is not compiled in: turn on the feature `tls` of dlock-redis"
    )]
    TlsNotEnabled,
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
    /// The server cannot be reached, or does not serve now. Trying again later may work.
    #[error("{message}: check that the server runs and can be reached")]
    Unavailable {
        /// What happened, and where.
        message: String,
        /// The client library's error.
        #[source]
        source: Option<Source>,
    },
    /// The server can be reached and will not have us until somebody changes something: the
    /// credentials, the database number, the server's configuration.
    #[error("{message}")]
    Rejected {
        /// What happened, where, and what to do.
        message: String,
        /// The client library's error.
        #[source]
        source: Option<Source>,
    },
}
