//! What both example programs need besides SPIFFE itself.
//!
//! The programs are ordinary: they find their identity with the published `spiffe` crate where `SPIFFE_ENDPOINT_SOCKET`
//! says, and no crate of Credence is linked. That is the point of them.

pub mod copy;
pub mod counter;
pub mod environment;
pub mod pem;
pub mod post;
pub mod private_file;
pub mod tool;
