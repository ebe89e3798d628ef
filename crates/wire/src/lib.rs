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

/// The OpenTelemetry protocol (OTLP 1.10): what is sent to a collector. The modules are nested as its packages are, by which
/// the generated code finds its way.
pub mod opentelemetry {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]

    /// The two services of a collector.
    pub mod collector {
        /// Traces.
        pub mod trace {
            pub mod v1 {
                include!("generated/opentelemetry.proto.collector.trace.v1.rs");
            }
        }
        /// Metrics.
        pub mod metrics {
            pub mod v1 {
                include!("generated/opentelemetry.proto.collector.metrics.v1.rs");
            }
        }
    }
    /// Values and attributes.
    pub mod common {
        pub mod v1 {
            include!("generated/opentelemetry.proto.common.v1.rs");
        }
    }
    /// Who tells.
    pub mod resource {
        pub mod v1 {
            include!("generated/opentelemetry.proto.resource.v1.rs");
        }
    }
    /// Traces.
    pub mod trace {
        pub mod v1 {
            include!("generated/opentelemetry.proto.trace.v1.rs");
        }
    }
    /// Metrics.
    pub mod metrics {
        pub mod v1 {
            include!("generated/opentelemetry.proto.metrics.v1.rs");
        }
    }
}
