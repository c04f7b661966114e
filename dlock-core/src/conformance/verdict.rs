use std::fmt::Display;

/// What a case ends with.
pub(super) type Verdict = Result<(), Stop>;

/// Why a case ends early. Cases do not panic: broken stores are run in bulk.
#[derive(Debug)]
pub(super) enum Stop {
    /// The store does not promise what the case is about.
    Skipped(String),
    /// What was expected, and what was seen.
    Failed(String),
}

impl Stop {
    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped(reason.into())
    }

    pub(super) fn failed(sentence: impl Into<String>) -> Self {
        Self::Failed(sentence.into())
    }

    /// An error where none may be: `doing` says what was asked.
    pub(super) fn error(doing: &str, error: impl Display) -> Self {
        Self::Failed(format!("{doing} failed: {error}"))
    }
}

/// Fails the case with a sentence unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($sentence:tt)+) => {
        if !$condition {
            return Err($crate::conformance::verdict::Stop::failed(format!($($sentence)+)));
        }
    };
}
pub(super) use ensure;
