//! A credential in words.

use crate::output::duration::{clock_secs, moment, rough};
use crate::output::style::{Style, Tone};
use crate::output::table::{pairs, printable};
use crate::verb::svid::{Checked, Inspection};
use crate::view::worker_name;
use credence_credential::{jwt_svid, x509_svid};
use credence_model::order::Claims;
use credence_model::spiffe_id::SpiffeId;
use credence_model::template::{Named, PathTemplates};
use credence_model::time::Timestamp;

/// Explains a credential; `file` is how the person called it.
pub(super) fn explain(inspection: &Inspection, file: &str, now: Timestamp, style: Style) -> String {
    let (what, id, mut facts, claims) = match inspection {
        Inspection::X509Svid { certificates, signature } => match certificates.split_first() {
            Some((leaf, others)) => (
                if leaf.is_ca { "Signing certificate" } else { "X.509-SVID" },
                leaf.spiffe_id.as_ref(),
                x509_facts(leaf, others, signature, now, style),
                leaf.claims.as_ref(),
            ),
            None => return "nothing".into(),
        },
        Inspection::JwtSvid { token, signature } => {
            ("JWT-SVID", Some(&token.subject), jwt_facts(token, signature, now, style), token.claims.as_ref())
        }
    };
    let (noun, name) = id.map_or(("nobody".into(), String::new()), subject);
    let who = id.map(|id| if name.is_empty() { id.to_string() } else { format!("{name}\n{id}") });
    let mut all = vec![("who", who.unwrap_or_default())];
    all.extend(claims.map(claims_facts).unwrap_or_default());
    all.append(&mut facts);
    let title = style.paint(Tone::Strong, &format!("{what} of {noun}"));
    let mut text = format!("{title}\n{}", pairs(&all, style));
    if let Some(claims) = claims {
        let kind = if what == "JWT-SVID" { "token" } else { "certificate" };
        text += &format!(
            "\n  not known from the {kind} alone: whether epoch {} is still live   (credence verify {file} asks)",
            claims.epoch
        );
    }
    text
}

/// What a SPIFFE ID names, as far as the usual templates tell.
fn subject(id: &SpiffeId) -> (String, String) {
    match PathTemplates::default().read(id) {
        Some(Named::Actor(class, actor)) => ("an actor".into(), format!("{class} / {}", actor.actor)),
        Some(Named::Class(class)) => ("a class".into(), class.to_string()),
        Some(Named::Worker(worker)) => ("a worker".into(), worker.to_string()),
        Some(Named::Node(node)) => ("a node".into(), node.to_string()),
        Some(Named::Server) => ("the control plane".into(), String::new()),
        None if id.path().is_empty() => ("an authority".into(), id.trust_domain().to_string()),
        None => ("a workload".into(), String::new()),
    }
}

fn claims_facts(claims: &Claims) -> Vec<(&'static str, String)> {
    let worker = match PathTemplates::default().read(&claims.worker) {
        Some(Named::Worker(worker)) => worker_name(&worker),
        _ => claims.worker.to_string(),
    };
    vec![
        ("where", format!("worker {worker}, epoch {}, binding {}", claims.epoch, claims.binding)),
        ("class", format!("{}\nrevision {}  {}", claims.class, claims.revision.number, claims.revision.digest)),
    ]
}

fn x509_facts(
    leaf: &x509_svid::Inspected,
    others: &[x509_svid::Inspected],
    signature: &Checked,
    now: Timestamp,
    style: Style,
) -> Vec<(&'static str, String)> {
    let names: Vec<_> =
        leaf.dns_names.iter().cloned().chain(leaf.ip_addresses.iter().map(ToString::to_string)).collect();
    let purposes = leaf.extended_key_usage.join(", ");
    let usage = leaf.key_usage.join(", ");
    let uris = if leaf.spiffe_id.is_none() { leaf.uri_names.join("\n") } else { String::new() };
    let chain = match others.len() {
        0 => String::new(),
        1 => "1 more certificate is in the file".into(),
        count => format!("{count} more certificates are in the file"),
    };
    let issuer = if leaf.issuer.is_empty() { "an issuer without a name".into() } else { leaf.issuer.clone() };
    vec![
        ("names", uris),
        ("also for", names.join(", ")),
        ("valid", validity(Some(leaf.not_before), leaf.not_after, now, style)),
        ("key", format!("{}  sha256:{}", leaf.key_type, leaf.key.short())),
        ("may", [usage, purposes].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")),
        ("serial", leaf.serial.clone()),
        ("signed", format!("by {}, {}", printable(&issuer), checked(signature, "chain", style))),
        ("chain", chain),
        ("breaks", style.paint(Tone::Bad, &leaf.violations.join("\n"))),
    ]
}

fn jwt_facts(
    token: &jwt_svid::Inspected,
    signature: &Checked,
    now: Timestamp,
    style: Style,
) -> Vec<(&'static str, String)> {
    vec![
        ("for", token.audience.join(", ")),
        ("valid", validity(token.not_before.or(token.issued_at), token.expires_at, now, style)),
        ("token id", token.jwt_id.clone().unwrap_or_default()),
        (
            "signed",
            format!(
                "{} by key {}, {}",
                token.algorithm,
                printable(&token.key_id),
                checked(signature, "signature", style)
            ),
        ),
    ]
}

fn checked(signature: &Checked, what: &str, style: Style) -> String {
    match signature {
        Checked::Not => format!("{what} not checked: no bundle was given (--bundle FILE)"),
        Checked::Good => style.paint(Tone::Good, &format!("{what} ok against the bundle")),
        Checked::Bad(why) => style.paint(Tone::Bad, &format!("{what} NOT ok against the bundle: {why}")),
    }
}

fn validity(from: Option<Timestamp>, to: Timestamp, now: Timestamp, style: Style) -> String {
    let verdict = match from {
        Some(from) if from > now => {
            style.paint(Tone::Bad, &format!("not valid for another {}", rough(from.ms_since(now))))
        }
        _ if to <= now => style.paint(Tone::Bad, &format!("over since {}", rough(now.ms_since(to)))),
        _ => format!("{} left", rough(to.ms_since(now))),
    };
    let near = |at: Timestamp| to.ms_since(now) < 86_400_000 && now.ms_since(at) < 86_400_000;
    match from {
        Some(from) if near(from) && to > now => {
            format!("{} to {} UTC, {verdict}", clock_secs(from, now), clock_secs(to, now))
        }
        Some(from) => format!("{} to {}, {verdict}", moment(from), moment(to)),
        None => format!("to {}, {verdict}", moment(to)),
    }
}
