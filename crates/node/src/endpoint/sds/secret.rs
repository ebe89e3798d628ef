//! What the secrets are: their names, and their form.

use crate::endpoint::Identity;
use credence_credential::bundle::Bundle;
use credence_credential::pem::{self, Label};
use credence_model::id::Digest;
use credence_model::refusal::{Kind, Refusal};
use credence_wire::envoy::config::core::v3::data_source::Specifier;
use credence_wire::envoy::config::core::v3::{DataSource, TypedExtensionConfig};
use credence_wire::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use credence_wire::envoy::extensions::transport_sockets::tls::v3::spiffe_cert_validator_config::TrustDomain;
use credence_wire::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret, SpiffeCertValidatorConfig, TlsCertificate,
};
use credence_wire::envoy::service::discovery::v3::DiscoveryResponse;
use prost::Message as _;
use prost_types::Any;

/// The one type of resource.
pub(super) const TYPE_URL: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const SPIFFE_VALIDATOR_URL: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";
const SPIFFE_VALIDATOR: &str = "envoy.tls.cert_validator.spiffe";

/// What SPIRE's agents call the first identity, the own bundle, and all bundles.
const DEFAULT: &str = "default";
const ROOT_CA: &str = "ROOTCA";
const ALL: &str = "ALL";

/// A secret that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// By which it was asked for.
    name: String,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// `default` or the actor's SPIFFE ID: its certificates and its key.
    Identity,
    /// `ROOTCA` or the trust domain's SPIFFE ID: the authorities, for the ordinary validator.
    Authorities,
    /// `ALL`: the same, for the validator that knows trust domains and demands what X509-SVID demands.
    TrustDomains,
}

/// An answer, and what tells it from another one without telling its key.
pub(super) struct Told {
    pub(super) message: DiscoveryResponse,
    pub(super) fingerprint: Digest,
}

/// What these names mean, sorted and each once; without a name it is the identity and the bundle under their SPIFFE IDs.
pub(super) fn names(asked: &[String], identity: &Identity) -> Result<Vec<Name>, Refusal> {
    let (own, trust_domain) = (identity.spiffe_id.as_str(), identity.spiffe_id.trust_domain());
    let trust_domain = trust_domain.id();
    let mut asked: Vec<&str> = asked.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    if asked.is_empty() {
        asked = vec![own, trust_domain.as_str()];
    }
    asked.sort_unstable();
    asked.dedup();
    let mean = |name: &str| {
        let what = match name {
            DEFAULT => What::Identity,
            ROOT_CA => What::Authorities,
            ALL => What::TrustDomains,
            name if name == own => What::Identity,
            name if name == trust_domain.as_str() => What::Authorities,
            _ => return Err(unknown(name, own, trust_domain.as_str())),
        };
        Ok(Name { name: name.to_owned(), what })
    };
    asked.into_iter().map(mean).collect()
}

fn unknown(name: &str, own: &str, trust_domain: &str) -> Refusal {
    let shown: String = name.chars().take(80).collect();
    Refusal::new(Kind::Malformed, format!("there is no secret {shown:?} for this actor"))
        .field("resource_names")
        .hint(format!("{own} and {DEFAULT} are its certificate, {trust_domain}, {ROOT_CA} and {ALL} are the bundle"))
}

/// The secrets of these names.
pub(super) fn told(names: &[Name], identity: &Identity, bundle: &Bundle) -> Told {
    let mut content = Vec::new();
    let mut resources = Vec::with_capacity(names.len());
    for Name { name, what } in names {
        content.extend_from_slice(name.as_bytes());
        let content_of = match what {
            What::Identity => identity.chain.concat(),
            What::Authorities | What::TrustDomains => bundle.x509().concatenated(),
        };
        content.extend_from_slice(&content_of);
        let secret = Secret { name: name.clone(), r#type: Some(form(*what, identity, bundle)) };
        resources.push(Any { type_url: TYPE_URL.to_owned(), value: secret.encode_to_vec() });
    }
    let fingerprint = Digest::of(&content);
    let message = DiscoveryResponse {
        version_info: fingerprint.to_string(),
        resources,
        type_url: TYPE_URL.to_owned(),
        nonce: String::new(),
    };
    Told { message, fingerprint }
}

fn form(what: What, identity: &Identity, bundle: &Bundle) -> Type {
    match what {
        What::Identity => Type::TlsCertificate(TlsCertificate {
            certificate_chain: source(certificates(identity.chain.iter().map(Vec::as_slice))),
            private_key: source(pem::write(Label::PrivateKey, &identity.key_pkcs8).as_bytes().to_vec()),
        }),
        What::Authorities => Type::ValidationContext(CertificateValidationContext {
            trusted_ca: source(certificates(bundle.x509().authorities())),
            custom_validator_config: None,
        }),
        What::TrustDomains => {
            let trust_domain = TrustDomain {
                name: bundle.trust_domain().as_str().to_owned(),
                trust_bundle: source(certificates(bundle.x509().authorities())),
            };
            let config = SpiffeCertValidatorConfig { trust_domains: vec![trust_domain] };
            let typed_config = Any { type_url: SPIFFE_VALIDATOR_URL.to_owned(), value: config.encode_to_vec() };
            Type::ValidationContext(CertificateValidationContext {
                trusted_ca: None,
                custom_validator_config: Some(TypedExtensionConfig {
                    name: SPIFFE_VALIDATOR.to_owned(),
                    typed_config: Some(typed_config),
                }),
            })
        }
    }
}

fn certificates<'a>(all: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    all.map(|der| pem::write(Label::Certificate, der).to_string()).collect::<String>().into_bytes()
}

fn source(bytes: Vec<u8>) -> Option<DataSource> {
    Some(DataSource { specifier: Some(Specifier::InlineBytes(bytes)) })
}
