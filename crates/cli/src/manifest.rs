//! Manifests: the YAML files of `credence apply`, read strictly.
//!
//! A file holds one or more documents, each one object: `apiVersion`, `kind`, `metadata`, `spec`. Every error names the
//! object, the field, `FILE:LINE:COLUMN` and what to do. Nothing is guessed: unknown fields, duplicate keys and wrong
//! types are errors, and anchors and aliases do not exist here, so a small file cannot become a large object.
//!
//! This module sends nothing; what the server thinks of an object comes later, and [`Manifest::locate`] gives that error
//! its line too.

mod document;
mod problem;
mod tree;

use crate::failure::Failure;
use crate::kind::{Kind, Object};
use credence_model::class::ClassSpec;
use credence_model::id::{ClassName, ClassRef, Namespace, PoolName, PoolRef};
use credence_model::label::{Labels, check_labels};
use credence_model::pool::PoolSpec;
use credence_model::refusal::Refusal;
use document::{Document, documents};
use problem::{Origin, typed};
use serde::Deserialize;
use tree::Tree;

/// The one version of the kinds that there is.
pub(crate) const API_VERSION: &str = "credence.dev/v1alpha1";
/// Largest manifest file, in bytes.
pub(crate) const MANIFEST_BYTES_MAX: usize = 1024 * 1024;
/// Most documents in one file.
pub(crate) const DOCUMENTS_MAX: usize = 256;

/// One object of a manifest file, as it was meant.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Which object.
    pub(crate) object: Object,
    /// Its labels.
    pub(crate) labels: Labels,
    /// The version that the author read, if the file says so: then a changed object is not overwritten.
    pub(crate) version: Option<u64>,
    /// What it is.
    pub(crate) spec: Spec,
    origin: Origin,
}

/// What an object is.
#[derive(Debug)]
pub(crate) enum Spec {
    /// A class.
    Class(Box<ClassSpec>),
    /// A pool.
    Pool(PoolSpec),
}

/// Reads a file's text. `name` is what errors call the file; `namespace` is for objects that name none.
pub(crate) fn parse(name: &str, text: &str, namespace: &Namespace) -> Result<Vec<Manifest>, Failure> {
    let manifests: Vec<_> =
        documents(name, text)?.into_iter().map(|document| read(name, document, namespace)).collect::<Result<_, _>>()?;
    if manifests.is_empty() {
        let failure = problem::wrong("there is no object in it").place(name);
        return Err(failure.hint("A manifest begins with apiVersion, kind, metadata and spec"));
    }
    Ok(manifests)
}

impl Manifest {
    /// Gives an error that names a field of this object its line, whoever found it.
    pub(crate) fn locate(&self, refusal: Refusal) -> Failure {
        self.origin.locate(refusal)
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

fn read(file: &str, document: Document<'_>, namespace: &Namespace) -> Result<Manifest, Failure> {
    let tree = Tree::parse(file, &document)?;
    let origin = Origin::new(file, tree, namespace);
    match origin.kind()? {
        Kind::Class => {
            let typed: Typed<ClassName, ClassSpec> = typed(&origin, &document)?;
            typed.spec.validate().map_err(|refusal| origin.locate(refusal))?;
            build(typed.metadata, namespace, origin, |namespace, class| {
                (Object::Class(ClassRef { namespace, class }), Spec::Class(Box::new(typed.spec)))
            })
        }
        _ => {
            let typed: Typed<PoolName, PoolSpec> = typed(&origin, &document)?;
            build(typed.metadata, namespace, origin, |namespace, pool| {
                (Object::Pool(PoolRef { namespace, pool }), Spec::Pool(typed.spec))
            })
        }
    }
}

fn build<N>(
    metadata: Metadata<N>,
    namespace: &Namespace,
    origin: Origin,
    object: impl FnOnce(Namespace, N) -> (Object, Spec),
) -> Result<Manifest, Failure> {
    check_labels("metadata.labels", &metadata.labels).map_err(|refusal| origin.locate(refusal))?;
    let (object, spec) = object(metadata.namespace.unwrap_or_else(|| namespace.clone()), metadata.name);
    Ok(Manifest { object, labels: metadata.labels, version: metadata.version, spec, origin })
}

#[cfg(test)]
mod tests;
