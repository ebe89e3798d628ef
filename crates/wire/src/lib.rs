//! What travels between processes: generated from `proto/` by `cargo xtask gen`, checked in, and compared by a test, so
//! that nobody needs a protobuf compiler. Written by hand is only how much memory a message is given.

pub mod codec;

/// The SPIFFE Workload API.
pub mod workload {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    include!("generated/_.rs");
}

/// Between a node and the control plane.
pub mod node {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    include!("generated/credence.node.v1.rs");
}

/// Between programs of one machine and their node.
pub mod local {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    include!("generated/credence.local.v1.rs");
}
