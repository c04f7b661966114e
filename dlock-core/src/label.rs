use std::fmt;
use std::sync::Arc;

/// Free text for people, stored beside the owner's id: who holds the lock. `host:pid` by default.
///
/// At most 256 bytes; longer text is cut at a character, control characters become spaces.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OwnerLabel(Arc<str>);

impl OwnerLabel {
    /// The longest label, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// A label from any text; never fails.
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        let mut clean = String::with_capacity(text.len().min(Self::MAX_BYTES));
        for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
            if clean.len() + c.len_utf8() > Self::MAX_BYTES {
                break;
            }
            clean.push(c);
        }
        Self(clean.into())
    }

    /// `host:pid` of this process.
    pub fn host_and_pid() -> Self {
        Self::new(format!("{}:{}", host(), std::process::id()))
    }

    /// No label: nothing about this process is stored.
    pub fn none() -> Self {
        Self("".into())
    }

    /// The label as text; empty when there is none.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "host".to_owned())
}

impl fmt::Display for OwnerLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OwnerLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
