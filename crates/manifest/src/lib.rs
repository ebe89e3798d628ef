//! Manifests: the YAML files of `credence apply`, read strictly.
//!
//! A file holds one or more documents, each one object: `apiVersion`, `kind`, `metadata`, `spec`. Every error names the
//! object, the field, `FILE:LINE:COLUMN` and what to do. Nothing is guessed: unknown fields, duplicate keys and wrong
//! types are errors, and anchors and aliases do not exist here, so a small file cannot become a large object.
//!
//! A crate of its own, because a manifest is a text from strangers and fuzzing has to reach its parser. It reads no file and
//! sends nothing; what the server thinks of an object comes later, and [`Manifest::locate`] gives that error its line too.

pub mod class_test;
mod document;
mod problem;
mod tree;

use class_test::ClassTest;
use credence_model::class::ClassSpec;
use credence_model::guard::GuardSpec;
use credence_model::id::{ClassName, ClassRef, GuardName, GuardRef, Namespace, PoolName, PoolRef};
use credence_model::label::{Labels, check_labels};
use credence_model::pool::PoolSpec;
use credence_model::refusal::{Kind, Refusal};
use document::{Document, documents};
use problem::{Origin, Written, typed};
use serde::Deserialize;
use std::fmt;
use thiserror::Error;
use tree::Tree;

/// The one version of the kinds that there is.
pub const API_VERSION: &str = "credence.dev/v1alpha1";
/// Largest manifest file, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 1024 * 1024;
/// Most documents in one file.
pub const DOCUMENTS_MAX: usize = 256;

/// One object of a manifest file, as it was meant.
#[derive(Debug)]
pub struct Manifest {
    /// Which object, and what it is.
    pub object: Object,
    /// Its labels.
    pub labels: Labels,
    /// The version that the author read, if the file says so: then a changed object is not overwritten.
    pub version: Option<u64>,
    origin: Origin,
}

/// What a document describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A class.
    Class(ClassRef, Box<ClassSpec>),
    /// A pool.
    Pool(PoolRef, PoolSpec),
    /// A guard.
    Guard(GuardRef, Box<GuardSpec>),
    /// A test of a class: nothing that a server knows.
    ClassTest(ClassRef, Box<ClassTest>),
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{refusal}  ({place})")]
pub struct ManifestError {
    /// What, and what to do about it.
    pub refusal: Refusal,
    /// Where: `FILE:LINE:COLUMN`, as far as it is known.
    pub place: String,
}

/// Reads a file's text. `name` is what errors call the file; `namespace` is for objects that name none.
pub fn parse(name: &str, text: &str, namespace: &Namespace) -> Result<Vec<Manifest>, ManifestError> {
    let manifests: Vec<_> =
        documents(name, text)?.into_iter().map(|document| read(name, document, namespace)).collect::<Result<_, _>>()?;
    if manifests.is_empty() {
        let hint = "A manifest begins with apiVersion, kind, metadata and spec";
        return Err(ManifestError::of_file(name, "there is no object in it", hint));
    }
    Ok(manifests)
}

impl ManifestError {
    fn of_file(file: &str, message: impl Into<String>, hint: &str) -> Self {
        Self { refusal: Refusal::new(Kind::Malformed, message).hint(hint), place: file.to_owned() }
    }
}

impl Manifest {
    /// Gives an error that names a field of this object its line, whoever found it.
    pub fn locate(&self, refusal: Refusal) -> ManifestError {
        self.origin.locate(refusal)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class, _) => write!(f, "class {class}"),
            Self::Pool(pool, _) => write!(f, "pool {pool}"),
            Self::Guard(guard, _) => write!(f, "guard {guard}"),
            Self::ClassTest(class, _) => write!(f, "test of class {class}"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Typed<N, S> {
    #[expect(dead_code, reason = "checked in the tree already; named here so that it is a known field")]
    api_version: String,
    #[expect(dead_code, reason = "checked in the tree already; named here so that it is a known field")]
    kind: String,
    metadata: Metadata<N>,
    spec: S,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Metadata<N> {
    namespace: Option<Namespace>,
    name: N,
    #[serde(default)]
    labels: Labels,
    version: Option<u64>,
}

fn read(file: &str, document: Document<'_>, namespace: &Namespace) -> Result<Manifest, ManifestError> {
    let tree = Tree::parse(&document).map_err(|error| problem::syntax(file, document.lines_before, &error))?;
    let origin = Origin::new(file, tree, namespace);
    match origin.kind()? {
        Written::Class => {
            let typed: Typed<ClassName, ClassSpec> = typed(&origin, &document)?;
            typed.spec.validate().map_err(|refusal| origin.locate(refusal))?;
            build(typed.metadata, namespace, origin, |namespace, class| {
                Object::Class(ClassRef { namespace, class }, Box::new(typed.spec))
            })
        }
        Written::Pool => {
            let typed: Typed<PoolName, PoolSpec> = typed(&origin, &document)?;
            build(typed.metadata, namespace, origin, |namespace, pool| {
                Object::Pool(PoolRef { namespace, pool }, typed.spec)
            })
        }
        Written::Guard => {
            let typed: Typed<GuardName, GuardSpec> = typed(&origin, &document)?;
            typed.spec.validate().map_err(|refusal| origin.locate(refusal))?;
            build(typed.metadata, namespace, origin, |namespace, guard| {
                Object::Guard(GuardRef { namespace, guard }, Box::new(typed.spec))
            })
        }
        Written::ClassTest => {
            let typed: Typed<ClassName, ClassTest> = typed(&origin, &document)?;
            typed.spec.validate().map_err(|refusal| origin.locate(refusal))?;
            build(typed.metadata, namespace, origin, |namespace, class| {
                Object::ClassTest(ClassRef { namespace, class }, Box::new(typed.spec))
            })
        }
    }
}

fn build<N>(
    metadata: Metadata<N>,
    namespace: &Namespace,
    origin: Origin,
    object: impl FnOnce(Namespace, N) -> Object,
) -> Result<Manifest, ManifestError> {
    check_labels("metadata.labels", &metadata.labels).map_err(|refusal| origin.locate(refusal))?;
    let object = object(metadata.namespace.unwrap_or_else(|| namespace.clone()), metadata.name);
    Ok(Manifest { object, labels: metadata.labels, version: metadata.version, origin })
}

#[cfg(test)]
mod tests;
