//! Whom the client believes over TLS, and who it says it is: a bundle file, and an X.509-SVID with its key if there is
//! one. The server must present the SPIFFE ID of the trust domain's control plane: any other member of the trust domain,
//! an actor for instance, is not the server. Host names mean nothing.

use crate::client::ClientOptions;
use crate::failure::Failure;
use crate::pem;
use credence_credential::bundle::{self, BUNDLE_BYTES_MAX, Bundle, BundleSet, JwtBundle, X509Bundle};
use credence_credential::tls::{LiveBundles, LiveIdentity, PeerRule, client_config};
use credence_credential::x509_svid;
use credence_model::refusal::Kind;
use credence_model::spiffe_id::{SpiffeId, TrustDomain};
use credence_model::template::PathTemplates;
use std::path::Path;
use tokio_rustls::rustls::ClientConfig;

/// Largest certificate or key file that is read, in bytes.
const IDENTITY_BYTES_MAX: usize = 256 * 1024;

pub(super) fn config(options: &ClientOptions) -> Result<ClientConfig, Failure> {
    let path = options.bundle.as_deref().ok_or_else(|| {
        let failure = Failure::used_wrongly("a server over https:// is only trusted by its bundle");
        failure.hint("Add --bundle FILE, as `credence bundle show --form spiffe` writes it on the server's machine")
    })?;
    let bundle = read_bundle(path)?;
    let rule = PeerRule::Exactly(PathTemplates::default().server_id(bundle.trust_domain()));
    let identity = match &options.identity {
        Some((svid, key)) => read_identity(svid, key)?,
        None => LiveIdentity::empty(),
    };
    let bundles = LiveBundles::new(BundleSet::from(bundle));
    let mut config =
        client_config(&identity, &bundles, rule).map_err(|error| Failure::new(error.kind(), error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads a bundle: a SPIFFE bundle document, or X.509 authorities in PEM.
pub(crate) fn read_bundle(path: &Path) -> Result<Bundle, Failure> {
    let text = pem::read_text(path, BUNDLE_BYTES_MAX)?;
    let wrong = |why: String| Failure::new(Kind::Malformed, format!("{} is no bundle: {why}", path.display()));
    let authorities = if text.contains("-----BEGIN") {
        pem::certificates(&text).map_err(wrong)?
    } else {
        x5c(&text).map_err(wrong)?
    };
    let trust_domain = authorities
        .iter()
        .find_map(|der| trust_domain_of(der))
        .ok_or_else(|| wrong("no authority in it names its trust domain".into()))?;
    if text.contains("-----BEGIN") {
        let x509 = X509Bundle::new(trust_domain.clone(), &authorities).map_err(|error| wrong(error.to_string()))?;
        let jwt = JwtBundle::new(trust_domain, Vec::new()).map_err(|error| wrong(error.to_string()))?;
        return Bundle::new(x509, jwt, 0, 0).map_err(|error| wrong(error.to_string()));
    }
    bundle::read(&trust_domain, text.as_bytes()).map_err(|error| wrong(error.to_string()))
}

/// The certificates in a bundle document, before it is known whose it is: the document itself does not say.
fn x5c(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let document: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let keys = document.get("keys").and_then(serde_json::Value::as_array).ok_or("it has no member `keys`")?;
    let encoded = keys.iter().filter_map(|key| key.pointer("/x5c/0")?.as_str());
    encoded.map(pem::base64).collect::<Option<Vec<_>>>().ok_or_else(|| "an x5c is not base64".to_owned())
}

fn trust_domain_of(der: &[u8]) -> Option<TrustDomain> {
    let id: SpiffeId = x509_svid::inspect(der).ok()?.spiffe_id?;
    id.path().is_empty().then(|| id.trust_domain())
}

fn read_identity(svid: &Path, key: &Path) -> Result<LiveIdentity, Failure> {
    let wrong =
        |path: &Path, why: String| Failure::new(Kind::Malformed, format!("{} cannot be used: {why}", path.display()));
    let chain = pem::certificates(&pem::read_text(svid, IDENTITY_BYTES_MAX)?).map_err(|why| wrong(svid, why))?;
    let key_text = pem::read_text(key, IDENTITY_BYTES_MAX)?;
    let pkcs8 = pem::private_key(&key_text).map_err(|why| wrong(key, why))?;
    LiveIdentity::new(&chain, &pkcs8).map_err(|error| wrong(svid, error.to_string()))
}
