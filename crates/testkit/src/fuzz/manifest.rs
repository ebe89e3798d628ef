//! Manifests, which people write and programs generate.

use super::refused_alike;
use credence_manifest::{DOCUMENTS_MAX, MANIFEST_BYTES_MAX, Manifest, Object};
use credence_model::id::Namespace;
use credence_model::refusal::{Kind, Refusal};
use credence_server::api::object::{Metadata, ObjectBody};
use credence_server::input;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

const FILE: &str = "f.yaml";

/// A manifest is understood or refused, the same twice; what is wrong has a place that the file has; and what is understood
/// goes to the server as JSON in which its own parser reads the same.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let namespace = Namespace::parse("home").expect("a namespace");
    let read = || credence_manifest::parse(FILE, text, &namespace);
    match (read(), read()) {
        (Ok(one), Ok(two)) => {
            assert_eq!(format!("{one:?}"), format!("{two:?}"));
            assert!(text.len() <= MANIFEST_BYTES_MAX && (1..=DOCUMENTS_MAX).contains(&one.len()));
            one.iter().for_each(|manifest| check(manifest, text));
        }
        (Err(one), Err(two)) => {
            is_inside(&one.place, text);
            assert!(!one.to_string().contains('\n'), "an error of several lines: {one}");
            refused_alike(one, two);
        }
        (one, two) => panic!("read in two ways: {:?} and {:?}", one.is_ok(), two.is_ok()),
    }
}

fn check(manifest: &Manifest, text: &str) {
    let metadata = |namespace: &Namespace, name: &str| Metadata {
        namespace: namespace.to_string(),
        name: name.to_owned(),
        labels: manifest.labels.clone(),
        version: manifest.version,
    };
    match &manifest.object {
        Object::Class(class, spec) => {
            assert_eq!(spec.validate(), Ok(()), "the server would refuse it");
            arrives(&ObjectBody { metadata: metadata(&class.namespace, class.class.as_str()), spec: (**spec).clone() });
        }
        Object::Pool(pool, spec) => {
            arrives(&ObjectBody { metadata: metadata(&pool.namespace, pool.pool.as_str()), spec: spec.clone() });
        }
        Object::Guard(guard, spec) => {
            assert_eq!(spec.validate(), Ok(()), "the server would refuse it");
            arrives(&ObjectBody { metadata: metadata(&guard.namespace, guard.guard.as_str()), spec: (**spec).clone() });
        }
        // It goes nowhere: the command line runs it by itself.
        Object::ClassTest(..) => {}
    }
    for field in [
        "spec",
        "spec.models[1].model",
        "metadata.labels",
        "spec.runtime.command[0]",
        "spec.cases[0].by[1]",
        "If-Match",
    ] {
        let located = manifest.locate(Refusal::new(Kind::Malformed, "wrong").field(field));
        is_inside(&located.place, text);
    }
}

fn arrives<S: Serialize + DeserializeOwned + PartialEq + Debug>(sent: &ObjectBody<S>) {
    let body = serde_json::to_vec(sent).expect("JSON");
    let read: ObjectBody<S> = input::json(&body).expect("the server reads what the command line sends");
    assert_eq!(&read, sent, "the server reads something else than was meant");
}

/// A place is the file, or a line and column in it; the end of a line is one column behind its last character, and the
/// end of the text may be called the beginning of one more line.
fn is_inside(place: &str, text: &str) {
    let Some(position) = place.strip_prefix(FILE).and_then(|rest| rest.strip_prefix(':')) else {
        return assert_eq!(place, FILE);
    };
    let (line, column) = position.split_once(':').expect("a line and a column");
    let [line, column] = [line, column].map(|number| number.parse::<usize>().expect("a number"));
    // A line ends as YAML says (§5.4): with either character or with both.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').chain([""]).collect();
    let found = line.checked_sub(1).and_then(|index| lines.get(index));
    let found = found.unwrap_or_else(|| panic!("{place} of {} lines", lines.len()));
    assert!((1..=found.chars().count() + 1).contains(&column), "{place} in a line of {}", found.chars().count());
}
