//! The journal, tested from outside: one conformance suite for both implementations, and the files under damage.

#[cfg(test)]
mod suite {
    mod child;
    mod conformance;
    mod crash;
    mod damage;
    mod directory;
    mod disk;
    mod format;
    mod sequence;
}
