//! `credence bundle show`: the keys of the trust domain, which are public.

use crate::args::{BundleArgs, BundleForm, BundleVerb};
use crate::client::Call;
use crate::clock;
use crate::failure::Failure;
use crate::output::duration::moment;
use crate::output::style::{Style, Tone};
use crate::output::table::pairs;
use crate::pem;
use crate::session::Session;
use credence_credential::bundle::{self, Bundle};
use credence_credential::x509_svid;
use credence_model::refusal::Kind;
use credence_model::time::Timestamp;
use credence_server::api::trust_domain::TrustDomainView;

pub(super) async fn run(verb: BundleVerb, session: &Session) -> Result<(), Failure> {
    let BundleVerb::Show(BundleArgs { form }) = verb;
    let client = session.client()?;
    let document = client.send_raw(Call::get("/v1/bundle")).await?;
    let wrong = |why: String| Failure::new(Kind::Bug, format!("the server's bundle cannot be read: {why}"));
    if form == BundleForm::Spiffe || session.out.is_object() {
        let value: serde_json::Value = serde_json::from_slice(&document).map_err(|error| wrong(error.to_string()))?;
        return session.out.object(&value);
    }
    let view: TrustDomainView = client.send(Call::get("/v1/trust-domain")).await?;
    let bundle = bundle::read(&view.settings.trust_domain, &document).map_err(|error| wrong(error.to_string()))?;
    match form {
        BundleForm::Pem => {
            session.out.text(&bundle.x509().authorities().map(pem::write_certificate).collect::<String>())
        }
        _ => session.out.line(words(&bundle, clock::now(), session.out.style)),
    }
}

fn words(bundle: &Bundle, now: Timestamp, style: Style) -> String {
    let x509 = bundle.x509().authorities().map(|der| match x509_svid::inspect(der) {
        Ok(authority) => {
            let over = if authority.not_after <= now { ", over" } else { "" };
            format!(
                "{}  key {}  until {}{over}",
                authority.key_type,
                authority.key.short(),
                moment(authority.not_after)
            )
        }
        Err(error) => error.to_string(),
    });
    let jwt =
        bundle.jwt().authorities().iter().map(|key| format!("{}  kid {}", key.algorithm().as_str(), key.key_id()));
    let facts = [
        ("sequence", bundle.sequence.to_string()),
        ("refresh", format!("every {} s", bundle.refresh_hint_secs)),
        ("X.509", x509.collect::<Vec<_>>().join("\n")),
        ("JWT", jwt.collect::<Vec<_>>().join("\n")),
    ];
    let title = format!("bundle of {}", style.paint(Tone::Strong, bundle.trust_domain().as_str()));
    format!("{title}\n{}", pairs(&facts, style))
}
