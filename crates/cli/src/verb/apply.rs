//! `credence apply`: every file is read and checked before the first object is sent.

use crate::args::ApplyArgs;
use crate::client::Call;
use crate::failure::Failure;
use crate::kind;
use crate::pem;
use crate::session::Session;
use credence_manifest::{MANIFEST_BYTES_MAX, Manifest, Object};
use credence_model::refusal::{Kind, Refusal};
use credence_server::api::object::{Applied, Metadata, ObjectBody};
use serde::Serialize;

#[derive(Serialize)]
struct Done {
    kind: &'static str,
    namespace: String,
    name: String,
    #[serde(flatten)]
    applied: Applied,
}

pub(super) async fn run(args: ApplyArgs, session: &Session) -> Result<(), Failure> {
    let mut manifests = Vec::new();
    for file in &args.files {
        let text = pem::read_text(file, MANIFEST_BYTES_MAX)?;
        manifests.extend(credence_manifest::parse(&pem::name(file), &text, &args.namespace.namespace)?);
    }
    let calls: Vec<_> = manifests.iter().map(call).collect::<Result<_, _>>()?;
    if args.check {
        return manifests.iter().try_for_each(|manifest| session.out.line(format!("{}: fine", manifest.object)));
    }
    let client = session.client()?;
    let mut done = Vec::new();
    for (manifest, call) in manifests.iter().zip(calls) {
        let applied: Applied = client.send(call).await.map_err(|failure| locate(manifest, failure))?;
        if !session.out.is_object() {
            session.out.line(line(&manifest.object, &applied))?;
        }
        let (kind, metadata) = metadata(manifest);
        done.push(Done { kind, namespace: metadata.namespace, name: metadata.name, applied });
    }
    if session.out.is_object() { session.out.object(&done) } else { Ok(()) }
}

/// Only what the server says about the object gets the object's place; that the server is away does not.
fn locate(manifest: &Manifest, failure: Failure) -> Failure {
    if failure.refusal.field.is_some() { manifest.locate(failure.refusal).into() } else { failure }
}

fn call(manifest: &Manifest) -> Result<Call, Failure> {
    let (_, metadata) = metadata(manifest);
    Ok(match &manifest.object {
        Object::Class(class, spec) => {
            let path = kind::Object::Class(class.clone()).path();
            Call::put(path, &ObjectBody { metadata, spec: spec.as_ref() })
        }
        Object::Pool(pool, spec) => {
            let path = kind::Object::Pool(pool.clone()).path();
            Call::put(path, &ObjectBody { metadata, spec })
        }
        Object::Guard(guard, spec) => {
            let path = kind::Object::Guard(guard.clone()).path();
            Call::put(path, &ObjectBody { metadata, spec })
        }
        Object::ClassTest(..) => {
            let refusal = Refusal::new(Kind::Malformed, "a test is nothing that a server has").field("kind");
            return Err(manifest.locate(refusal.hint("Run it with `credence class test`")).into());
        }
    })
}

fn metadata(manifest: &Manifest) -> (&'static str, Metadata) {
    let (kind, namespace, name) = match &manifest.object {
        Object::Class(class, _) => ("Class", class.namespace.to_string(), class.class.to_string()),
        Object::Pool(pool, _) => ("Pool", pool.namespace.to_string(), pool.pool.to_string()),
        Object::Guard(guard, _) => ("Guard", guard.namespace.to_string(), guard.guard.to_string()),
        Object::ClassTest(class, _) => ("ClassTest", class.namespace.to_string(), class.class.to_string()),
    };
    (kind, Metadata { namespace, name, labels: manifest.labels.clone(), version: manifest.version })
}

fn line(object: &Object, applied: &Applied) -> String {
    let what = if applied.changed { "applied" } else { "unchanged" };
    match applied.revision {
        0 => format!("{object}: {what}"),
        revision => format!("{object}: {what}, revision {revision}"),
    }
}
