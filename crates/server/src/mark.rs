//! Marks: how far this server was, as nodes keep it and show it again.
//!
//! A mark names the last journal entry by number and SHA-256 and the highest epoch. A server whose disk went back has not
//! got that entry, or has another one there, however much it has recorded since.
//!
//! INVARIANT: what a mark says counts only with the tag that this server's own key makes; so no node can hold the server
//! by claiming to have seen something. The key lies in the data directory and goes back with it.

use aws_lc_rs::hmac;
use credence_control::Recorded;
use credence_model::id::Digest;
use credence_wire::node as wire;

/// Length of the key, in bytes.
pub(crate) const KEY_BYTES: usize = 32;
/// What the tag is made over begins with, so that the key serves nothing else.
const DOMAIN: &[u8] = b"credence mark 1\0";

/// Makes and reads marks.
pub(crate) struct Marks {
    key: hmac::Key,
}

/// What a mark of this server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) index: u64,
    pub(crate) digest: Digest,
    /// One more than the highest epoch.
    pub(crate) epoch: u64,
    pub(crate) bundle_sequence: u64,
}

impl Marks {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// The mark of a record.
    pub(crate) fn issue(&self, recorded: &Recorded, bundle_sequence: u64) -> wire::Mark {
        let (index, epoch) = (recorded.index, recorded.epoch.0.saturating_add(1));
        let mark = Mark { index, digest: recorded.digest, epoch, bundle_sequence };
        let tag = hmac::sign(&self.key, &mark.bytes()).as_ref().to_vec();
        wire::Mark { index, digest: recorded.digest.0.to_vec(), epoch, bundle_sequence, tag }
    }

    /// Reads a mark; `None` if this server did not make it.
    pub(crate) fn read(&self, mark: &wire::Mark) -> Option<Mark> {
        let digest = Digest(mark.digest.as_slice().try_into().ok()?);
        let read = Mark { index: mark.index, digest, epoch: mark.epoch, bundle_sequence: mark.bundle_sequence };
        hmac::verify(&self.key, &read.bytes(), &mark.tag).ok().map(|()| read)
    }
}

impl Mark {
    fn bytes(&self) -> Vec<u8> {
        let numbers = [self.index, self.epoch, self.bundle_sequence].map(u64::to_be_bytes);
        [DOMAIN, numbers.as_flattened(), &self.digest.0].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::{KEY_BYTES, Marks};
    use credence_control::Recorded;
    use credence_model::id::{Digest, Epoch};

    #[test]
    fn a_mark_counts_only_unchanged_and_under_the_key_that_made_it() {
        let marks = Marks::new(&[7; KEY_BYTES]);
        let good = marks.issue(&Recorded { index: 5, digest: Digest([9; 32]), epoch: Epoch(3) }, 2);
        assert_eq!(marks.read(&good).map(|mark| (mark.index, mark.epoch, mark.bundle_sequence)), Some((5, 4, 2)));
        assert_eq!(Marks::new(&[8; KEY_BYTES]).read(&good), None);
        let mut wrong = vec![good.clone(); 6];
        wrong[0].index += 1;
        wrong[1].epoch += 1;
        wrong[2].bundle_sequence += 1;
        wrong[3].digest[0] ^= 1;
        wrong[4].digest.pop();
        wrong[5].tag.pop();
        for mark in wrong {
            assert_eq!(marks.read(&mark), None, "{mark:?}");
        }
    }
}
