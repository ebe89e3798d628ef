//! The journal, tested from outside: one conformance suite for both implementations, and the files under damage.

mod suite {
    mod conformance;
    mod disk;
}
