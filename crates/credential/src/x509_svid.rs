//! X.509-SVIDs: how they are built, checked before they leave, verified when they arrive, and explained.
//!
//! A leaf carries its one SPIFFE ID as a critical URI name with an empty subject (RFC 5280 §4.1.2.6) and, for an actor,
//! the claims about its binding as one extension that others may ignore.
//!
//! INVARIANT: [`SigningCertificate::build`] only builds; the issuer calls [`validate`], which reads the result again with
//! another parser, before it lets a certificate go.

mod build;
mod claims;
mod inspect;
mod leaf;
mod profile;
mod validate;
mod verify;

pub use build::{BuildError, CaTemplate, SERIAL_BYTES, ServerNames, SigningCertificate, Template, build_root};
pub use claims::{CLAIMS_BYTES_MAX, CLAIMS_OID};
pub use inspect::{Inspected, inspect};
pub use profile::Violation;
pub use validate::{Mismatch, validate};
pub use verify::{CHAIN_CERTIFICATES_MAX, VerifiedX509Svid, VerifyError, verify, verify_in};

#[cfg(test)]
mod tests;
