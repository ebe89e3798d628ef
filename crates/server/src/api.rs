//! The control API: one module per noun, each with the shapes of its requests and answers.
//!
//! The same types serve the handlers, the OpenAPI document and the command line. Times are milliseconds since the Unix
//! epoch. Objects that people write (`spec`) use camel case like their YAML; everything else is snake case.

pub mod actor;
pub mod authority;
pub mod authzen;
pub mod class;
pub mod decision;
pub mod delegation;
pub mod explanation;
pub mod guard;
pub mod hold;
pub mod identity_provider;
pub mod invariant;
pub mod join_token;
pub mod list;
pub mod log;
pub mod me;
pub mod node;
pub mod object;
pub mod pool;
pub mod status;
pub mod text;
pub mod trust_domain;
pub mod verification;
pub mod worker;
