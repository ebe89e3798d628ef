//! Big-endian fields, read and written in order; nothing here can go beyond the bytes given.

/// A reader over bytes.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next bytes, if there are as many.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next four bytes as a number.
    pub(super) fn u32(&mut self) -> Option<u32> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*taken))
    }

    /// The next eight bytes as a number.
    pub(super) fn u64(&mut self) -> Option<u64> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*taken))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Checks that the bytes end in the CRC-32C of everything before it, and gives the part before it.
pub(super) fn checked(bytes: &[u8]) -> Option<Fields<'_>> {
    let (body, crc) = bytes.split_last_chunk()?;
    (crc32c::crc32c(body) == u32::from_be_bytes(*crc)).then_some(Fields(body))
}

/// Appends the CRC-32C of everything from `start` on.
pub(super) fn seal(bytes: &mut Vec<u8>, start: usize) -> u32 {
    let crc = crc32c::crc32c(bytes.get(start..).unwrap_or_default());
    bytes.extend_from_slice(&crc.to_be_bytes());
    crc
}
