//! Redis Cluster's slots: which one a key lives in, and a tag for each.

use std::sync::OnceLock;

/// How many slots a Redis Cluster has.
pub(crate) const SLOTS: u16 = 16384;

/// The slot of a key, as `CLUSTER KEYSLOT` says.
pub(crate) fn slot(key: &[u8]) -> u16 {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

/// What Redis hashes instead of the whole key: the text between the first `{` and the first `}`
/// after it, if there is any.
pub(crate) fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|&byte| byte == b'{')?;
    let inside = &key[open + 1..];
    let close = inside.iter().position(|&byte| byte == b'}')?;
    (close > 0).then(|| &inside[..close])
}

/// A hash tag that leads to this slot: the smallest decimal number that does. Part of the key
/// layout, so it must never change.
pub(crate) fn tag_for(slot: u16) -> String {
    static NUMBERS: OnceLock<Vec<u32>> = OnceLock::new();
    NUMBERS.get_or_init(smallest_numbers)[usize::from(slot % SLOTS)].to_string()
}

fn smallest_numbers() -> Vec<u32> {
    let mut numbers = vec![None; usize::from(SLOTS)];
    let mut missing = numbers.len();
    for number in 0_u32.. {
        let entry = &mut numbers[usize::from(slot(number.to_string().as_bytes()))];
        if entry.is_none() {
            *entry = Some(number);
            missing -= 1;
        }
        if missing == 0 {
            break;
        }
    }
    numbers.into_iter().flatten().collect()
}

/// CRC-16/XMODEM: polynomial 0x1021, no reflection, starting from 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0_u16, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            (crc << 1) ^ if crc & 0x8000 != 0 { 0x1021 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(hash_tag(b"foo{}{bar}"), None);
        assert_eq!(hash_tag(b"foo{{bar}}zap"), Some(&b"{bar"[..]));
        assert_eq!(hash_tag(b"foo{bar}{zap}"), Some(&b"bar"[..]));
    }

    #[test]
    fn every_slot_has_a_tag() {
        for number in 0..SLOTS {
            assert_eq!(slot(tag_for(number).as_bytes()), number);
        }
    }

    /// Changing a tag would separate old and new versions of this crate.
    #[test]
    fn tags_are_the_smallest_numbers() {
        let first = (0..SLOTS).find(|&s| tag_for(s) == "0").unwrap();
        assert_eq!(first, slot(b"0"));
        let longest = (0..SLOTS)
            .map(tag_for)
            .max_by_key(|tag| tag.parse::<u32>().unwrap())
            .unwrap();
        assert_eq!(longest, "109757");
    }
}
