//! Random bytes for ids: of what has to differ from everything else and keeps nothing secret.
//!
//! The library takes longer to be asked than to answer, so each thread asks for many bytes at once.

use aws_lc_rs::error::Unspecified;
use std::cell::RefCell;

/// How many bytes a thread asks for.
const ASKED_FOR: usize = 1_024;

thread_local! {
    static ASKED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes that nobody else gets.
///
/// # Errors
/// If the system has no randomness.
pub fn bytes<const N: usize>() -> Result<[u8; N], Unspecified> {
    ASKED.with_borrow_mut(|asked| {
        let Some((rest, taken)) = asked.split_last_chunk::<N>() else {
            let (mut taken, mut fresh) = ([0; N], vec![0; ASKED_FOR]);
            aws_lc_rs::rand::fill(&mut taken)?;
            aws_lc_rs::rand::fill(&mut fresh)?;
            *asked = fresh;
            return Ok(taken);
        };
        let (left, taken) = (rest.len(), *taken);
        asked.truncate(left);
        Ok(taken)
    })
}

#[cfg(test)]
mod tests {
    use super::{ASKED_FOR, bytes};
    use std::collections::BTreeSet;

    #[test]
    fn no_bytes_are_given_twice() {
        let taken: BTreeSet<[u8; 16]> = (0..ASKED_FOR).map(|_| bytes().expect("randomness")).collect();
        assert_eq!(taken.len(), ASKED_FOR);
        let more: [u8; ASKED_FOR + 1] = bytes().expect("more than is asked for at once");
        assert!(more.iter().any(|byte| *byte != 0));
    }
}
