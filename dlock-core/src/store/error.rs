use std::error::Error;

type Source = Box<dyn Error + Send + Sync>;

/// Why a store did not answer. The three kinds are what a caller can act on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Connecting failed, or the server refused before executing anything: surely not applied.
    /// Trying again later may work.
    #[error(
        "the store is unavailable ({message}); nothing was changed: check that it runs and can be reached, then try again"
    )]
    Unavailable {
        /// What happened, without secrets.
        message: String,
        /// The client library's error.
        #[source]
        source: Option<Source>,
    },
    /// The request may or may not have been applied: no answer came.
    #[error("the store did not answer ({message}); the request may or may not have been applied")]
    Indeterminate {
        /// What happened, without secrets.
        message: String,
        /// The client library's error.
        #[source]
        source: Option<Source>,
    },
    /// It will not work until somebody changes something: credentials, a key of a wrong type,
    /// the server's configuration. Nothing was changed in the store.
    #[error("the store rejects the request: {message}")]
    Rejected {
        /// What happened and what to do, without secrets.
        message: String,
        /// The client library's error.
        #[source]
        source: Option<Source>,
    },
}

impl StoreError {
    /// An [`Unavailable`](StoreError::Unavailable) without a source.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable {
            message: message.into(),
            source: None,
        }
    }

    /// An [`Indeterminate`](StoreError::Indeterminate) without a source.
    pub fn indeterminate(message: impl Into<String>) -> Self {
        Self::Indeterminate {
            message: message.into(),
            source: None,
        }
    }

    /// A [`Rejected`](StoreError::Rejected) without a source.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::Rejected {
            message: message.into(),
            source: None,
        }
    }

    /// The same error with a source, which `std::error::Error::source` shows.
    #[must_use]
    pub fn caused_by(mut self, error: impl Into<Source>) -> Self {
        match &mut self {
            Self::Unavailable { source, .. }
            | Self::Indeterminate { source, .. }
            | Self::Rejected { source, .. } => {
                *source = Some(error.into());
            }
        }
        self
    }
}
