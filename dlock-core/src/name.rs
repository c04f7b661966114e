use std::fmt;
use std::sync::Arc;

use crate::error::InvalidRequest;

/// What is locked: non-empty UTF-8, at most 512 bytes, case-sensitive.
///
/// Two different names never meet in a store; escaping is the store's business.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName(Arc<str>);

impl LockName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 512;

    /// Checks the name. Fails with [`InvalidRequest::EmptyName`] or [`InvalidRequest::NameTooLong`].
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidRequest> {
        let name = name.as_ref();
        if name.is_empty() {
            return Err(InvalidRequest::EmptyName);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(InvalidRequest::NameTooLong { bytes: name.len() });
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_512_bytes() {
        assert_eq!(LockName::new(""), Err(InvalidRequest::EmptyName));
        assert!(LockName::new("x".repeat(512)).is_ok());
        assert_eq!(
            LockName::new("x".repeat(513)),
            Err(InvalidRequest::NameTooLong { bytes: 513 })
        );
        // Bytes count, not characters.
        assert_eq!(
            LockName::new("é".repeat(257)),
            Err(InvalidRequest::NameTooLong { bytes: 514 })
        );
    }
}
