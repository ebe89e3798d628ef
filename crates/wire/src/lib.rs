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

/// Of Envoy's API, version 3: secrets of TLS, and authorization. The modules are nested as its packages are, by which the
/// generated code finds its way.
pub mod envoy {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]

    /// What others are made of.
    pub mod config {
        pub mod core {
            pub mod v3 {
                include!("generated/envoy.config.core.v3.rs");
            }
        }
    }
    /// Secrets.
    pub mod extensions {
        pub mod transport_sockets {
            pub mod tls {
                pub mod v3 {
                    include!("generated/envoy.extensions.transport_sockets.tls.v3.rs");
                }
            }
        }
    }
    /// Services.
    pub mod service {
        /// Authorization.
        pub mod auth {
            pub mod v3 {
                include!("generated/envoy.service.auth.v3.rs");
            }
        }
        /// Discovery.
        pub mod discovery {
            pub mod v3 {
                include!("generated/envoy.service.discovery.v3.rs");
            }
        }
        /// Discovery of secrets.
        pub mod secret {
            pub mod v3 {
                include!("generated/envoy.service.secret.v3.rs");
            }
        }
    }
    /// Status codes.
    pub mod r#type {
        pub mod v3 {
            include!("generated/envoy.r#type.v3.rs");
        }
    }
}

/// The status that gRPC's protocols share.
pub mod google {
    #![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]

    /// Its package.
    pub mod rpc {
        include!("generated/google.rpc.rs");
    }
}
