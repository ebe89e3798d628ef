//! How origin is proven: one module per method, prover and verifier side by side.
//!
//! This crate is the sole owner of evidence. It says whether a proof holds; what the proven party may then do is decided
//! elsewhere. It keeps no state: that a join token is used once is the model's rule, not this crate's.

pub mod join_token;
pub mod process_tree;
