//! Where a lock lives in etcd: `prefix + name + "/" + lease id in hex`, as `etcdctl lock` and Go's
//! `concurrency.Mutex` have it.

use dlock_core::LockName;

/// The keys of one lock name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Keys {
    /// All entries of the queue begin with this.
    pub range: Vec<u8>,
}

impl Keys {
    pub fn new(prefix: &str, name: &LockName) -> Self {
        Self {
            range: format!("{prefix}{}/", escaped(name.as_str())).into_bytes(),
        }
    }

    /// The first key behind all that begin with `range`.
    pub fn end(&self) -> Vec<u8> {
        let mut end = self.range.clone();
        // It ends with a slash, so that the last byte has a successor.
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        end
    }

    /// The entry under this lease.
    pub fn entry(&self, lease: i64) -> Vec<u8> {
        let mut key = self.range.clone();
        key.extend_from_slice(format!("{lease:x}").as_bytes());
        key
    }
}

/// `a` and `a/b` must not meet: the entries of one would be in the range of the other.
fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(name: &str) -> Keys {
        Keys::new("lock/", &LockName::new(name).unwrap())
    }

    #[test]
    fn a_key_is_what_etcdctl_makes_of_the_name() {
        assert_eq!(keys("name").entry(0x694d_71dd), b"lock/name/694d71dd");
        assert_eq!(keys("name").end(), b"lock/name0");
        assert_eq!(keys("a/b%").range, b"lock/a%2Fb%25/");
    }

    proptest! {
        #[test]
        fn no_entry_of_one_name_is_in_the_range_of_another(a in "[a%/2F]{1,6}", b in "[a%/2F]{1,6}", lease in 1..i64::MAX) {
            prop_assume!(a != b);
            let (a, b) = (keys(&a), keys(&b));
            let entry = a.entry(lease);
            prop_assert!(entry < b.range || entry >= b.end());
        }
    }
}
