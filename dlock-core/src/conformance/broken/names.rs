//! Flaws by which different names meet.

use super::{BrokenStore, Flaw};
use crate::LockName;
use crate::store::{LockStore, StoreError};

impl BrokenStore {
    /// The name under which this store keeps a lock.
    pub(super) fn name(&self, name: &LockName) -> Result<LockName, StoreError> {
        let text = name.as_str();
        let kept = match self.core.flaw {
            Flaw::NamesLowered => text.to_lowercase(),
            Flaw::NamesTrimmed => text.trim().to_owned(),
            Flaw::NamesCut => {
                let before_nul = text.split('\0').next().unwrap_or_default();
                before_nul.chars().take(255).collect()
            }
            Flaw::NamesHashed => hash_tag(text).unwrap_or(text).to_owned(),
            Flaw::NamesRefused if text.chars().any(char::is_control) => {
                return Err(StoreError::rejected("a control character in the lock name"));
            }
            _ => return Ok(name.clone()),
        };
        // A name of which nothing is left keeps itself.
        Ok(LockName::new(kept).unwrap_or_else(|_| name.clone()))
    }

    /// For [`Flaw::NamesNested`].
    pub(super) async fn relative_is_held(&self, name: &LockName) -> Result<bool, StoreError> {
        let names: Vec<LockName> = self.core.notes().names.keys().cloned().collect();
        for other in names {
            let (long, short) = if other > *name {
                (&other, name)
            } else {
                (name, &other)
            };
            let nested = long
                .as_str()
                .strip_prefix(short.as_str())
                .is_some_and(|rest| rest.starts_with('/'));
            if nested && self.core.inner.inspect(&other).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What is between the first brace and the next closing one, if anything is.
fn hash_tag(name: &str) -> Option<&str> {
    let (_, rest) = name.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}
