//! Whether bytes are in DER (X.690 §10, §11), as far as the libraries that read certificates do not look.
//!
//! A reader that takes more than DER reads something where another one reads nothing, or something else; then two verifiers
//! believe two things of one certificate.

/// Deepest nesting; a certificate has about eight levels.
const DEPTH_MAX: usize = 16;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: u8 = 0x05;
const OID: u8 = 0x06;
const CONSTRUCTED: u8 = 0x20;
/// Class and form of a tag; without them it is a universal primitive one.
const UNIVERSAL: u8 = 0x1F;
/// SEQUENCE and SET, which alone among universal types are constructed.
const CONSTRUCTED_TYPES: [u8; 2] = [0x30, 0x31];

/// Whether `bytes` are one value in DER and nothing else.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    matches!(take(&mut rest), Some((tag, content)) if rest.is_empty() && holds(tag, content, 0))
}

/// The tags of the values that a SEQUENCE holds; `None` if it is none.
pub(crate) fn tags_in_sequence(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes;
    let (0x30, mut content) = take(&mut rest)? else { return None };
    let mut tags = Vec::new();
    while !content.is_empty() {
        tags.push(take(&mut content)?.0);
    }
    rest.is_empty().then_some(tags)
}

/// Tag and content of the next value; only tags of one byte and lengths in their shortest form.
fn take<'d>(rest: &mut &'d [u8]) -> Option<(u8, &'d [u8])> {
    let (tag, behind) = rest.split_first()?;
    let (first, behind) = behind.split_first()?;
    let (length, behind) = match first {
        0..=0x7F => (usize::from(*first), behind),
        0x81 => {
            let (length, behind) = behind.split_first().filter(|(length, _)| **length >= 0x80)?;
            (usize::from(*length), behind)
        }
        0x82 => {
            let (length, behind) = behind.split_first_chunk::<2>().filter(|(length, _)| length[0] > 0)?;
            (usize::from(u16::from_be_bytes(*length)), behind)
        }
        _ => return None,
    };
    let (content, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    (tag & UNIVERSAL != UNIVERSAL).then_some((*tag, content))
}

fn holds(tag: u8, content: &[u8], depth: usize) -> bool {
    if tag & CONSTRUCTED != 0 {
        return depth < DEPTH_MAX && is_known(tag) && all_hold(content, depth + 1);
    }
    match tag {
        BOOLEAN => matches!(content, [0x00 | 0xFF]),
        INTEGER => match content {
            [] | [0x00, 0x00..=0x7F, ..] | [0xFF, 0x80..=0xFF, ..] => false,
            [..] => true,
        },
        BIT_STRING => match content {
            [0, ..] => true,
            [unused @ 1..=7, .., last] => last.trailing_zeros() >= u32::from(*unused),
            _ => false,
        },
        NULL => content.is_empty(),
        OID => content.last().is_some_and(|last| last & 0x80 == 0),
        _ => !CONSTRUCTED_TYPES.contains(&(tag | CONSTRUCTED)),
    }
}

fn is_known(constructed: u8) -> bool {
    constructed >= 0x40 || CONSTRUCTED_TYPES.contains(&constructed)
}

fn all_hold(mut content: &[u8], depth: usize) -> bool {
    while !content.is_empty() {
        match take(&mut content) {
            Some((tag, inner)) if holds(tag, inner, depth) => {}
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{is_value, tags_in_sequence};

    #[test]
    fn what_is_der_is_told_from_what_only_looks_like_it() {
        let der: &[&[u8]] = &[
            &[1, 1, 0xFF],
            &[2, 1, 0],
            &[2, 2, 0, 0x80],
            &[2, 1, 0x80],
            &[3, 2, 7, 0x80],
            &[3, 1, 0],
            &[5, 0],
            &[6, 2, 0x81, 1],
            &[0x30, 0],
            &[0x30, 3, 2, 1, 7],
            &[0xA0, 2, 5, 0],
            &[0x86, 1, b'a'],
        ];
        let not: &[&[u8]] = &[
            &[],
            &[1],
            &[1, 1, 1],
            &[1, 2, 0, 0],
            &[2, 0],
            &[2, 2, 0, 7],
            &[2, 2, 0xFF, 0x80],
            &[3, 0],
            &[3, 1, 1],
            &[3, 2, 8, 0],
            &[3, 2, 7, 0xC0],
            &[5, 1, 0],
            &[6, 0],
            &[6, 1, 0x81],
            &[0x30, 1, 0],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81, 0],
            &[0x10, 0],
            &[0x22, 3, 2, 1, 7],
            &[0x1F, 1, 0],
            &[5, 0, 0],
            &[4, 2, 0],
        ];
        for (bytes, expected) in der.iter().map(|bytes| (bytes, true)).chain(not.iter().map(|bytes| (bytes, false))) {
            assert_eq!(is_value(bytes), expected, "{bytes:02x?}");
        }
        let deep = (0..40).fold(vec![5, 0], |inner, _| [&[0x30, inner.len() as u8], &inner[..]].concat());
        assert!(!is_value(&deep));
    }

    #[test]
    fn a_sequence_says_what_it_holds() {
        assert_eq!(tags_in_sequence(&[0x30, 5, 0x86, 1, b'a', 0x82, 0]), Some(vec![0x86, 0x82]));
        assert_eq!(tags_in_sequence(&[0x31, 0]), None);
        assert_eq!(tags_in_sequence(&[0x30, 1, 0x86]), None);
        assert_eq!(tags_in_sequence(&[0x30, 0, 0]), None);
    }
}
