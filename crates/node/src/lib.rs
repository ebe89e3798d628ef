//! The host daemon: attests the node, holds its workers, serves actors their identity and runs their programs.

pub mod core;
pub mod endpoint;
pub mod runtime;
