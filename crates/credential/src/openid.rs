//! Tokens of OpenID providers: ID tokens (OpenID Connect Core §2) and access tokens in JWT form (RFC 9068) of the users of a
//! provider that is configured, read strictly.
//!
//! Providers write what JWT-SVIDs may not: RSA signatures, further header members, one of many keys. What stays strict: the
//! compact form alone, no member twice, `typ` and `alg` from a list, the algorithm that the key has, the one issuer and the
//! one audience byte for byte, and nothing in a token ever points to a key outside the provider's set (threat T12).

mod algorithm;
mod error;
mod keys;
mod verify;

pub use error::TokenError;
pub use keys::{KeySet, KeySetError};
pub use verify::{Expected, Presented, VerifiedUser};

/// Longest token that is read, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest time between `iat` and `exp` of a token, in seconds: who leaves a provider is known here no longer than a day.
pub const TOKEN_SECS_MAX: u64 = 86_400;
/// How far the clocks of a provider and of this machine may differ, in seconds.
pub const LEEWAY_SECS: u64 = 30;
/// Most keys of one provider.
pub const KEYS_MAX: usize = 64;

#[cfg(test)]
mod tests;
