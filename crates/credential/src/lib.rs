//! How identity is written, parsed and verified: X.509-SVID, JWT-SVID, certificate requests, bundles, and the TLS that
//! rests on them.
//!
//! This crate is the sole owner of the X.509 and JOSE formats. It is pure but for its own random number generator inside
//! signatures and key generation: no files, no sockets, no clock; the time arrives as an argument. It decides nothing:
//! what may be signed is the model's order, and who holds the signing keys is the issuer's business. [`key::KeyPair`] is
//! the form of a key, not a place where keys are kept.
//!
//! `// SPEC:` comments name the rows of the SPIFFE documents that a function enforces.

pub mod bundle;
pub mod csr;
pub mod jwt_svid;
pub mod key;
pub mod key_file;
pub mod openid;
pub mod pem;
pub mod strict_json;
pub mod tls;
pub mod x509_svid;

mod certificate;
mod der;
#[cfg(test)]
mod fixture;
mod jose;
