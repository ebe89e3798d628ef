//! Who signs: custody of the trust domain's keys, and minting credentials from orders.
//!
//! This crate is the sole owner of private signing keys. [`Authority`] keeps them; [`Issuer`] signs with them.
//!
//! INVARIANT: [`Issuer`] signs an order that the model made, and nothing else; an order cannot be made outside the model.
//! INVARIANT: a certificate is read again and compared with its order before it leaves (`credential::x509_svid::validate`).
//!
//! It reads no clock: times arrive in orders and arguments. It does read the library's random number generator, for keys,
//! for the serial numbers of its own certificates, and inside ECDSA; the serial numbers and ids of what it mints arrive as
//! arguments.

mod authority;
mod mint;

pub use authority::{Authority, AuthorityError, Config};
pub use mint::{BUNDLE_REFRESH_HINT_SECS, IssueError, Issuer, NONCE_BYTES};
